"""For tests of Keystead and of programs that use it: fakes one can run, and contract suites."""
