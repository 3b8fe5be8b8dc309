-- For wrk: one request, repeated; at the end one line of JSON. BENCH_KEY comes from the environment, the body from the file BENCH_BODY.
-- The headers are those the official Python SDK 2.12 sends.
wrk.method = "POST"
for name, value in pairs({
  ["accept"] = "application/json",
  ["accept-encoding"] = "gzip, deflate",
  ["anthropic-version"] = "2026-10-21",
  ["connection"] = "keep-alive",
  ["content-type"] = "application/json",
  ["user-agent"] = "Anthropic/Python 2.12.0",
  ["x-api-key"] = os.getenv("BENCH_KEY"),
  ["x-stainless-arch"] = "x64",
  ["x-stainless-async"] = "false",
  ["x-stainless-lang"] = "python",
  ["x-stainless-os"] = "Linux",
  ["x-stainless-package-version"] = "2.12.0",
  ["x-stainless-read-timeout"] = "600",
  ["x-stainless-retry-count"] = "0",
  ["x-stainless-runtime"] = "CPython",
  ["x-stainless-runtime-version"] = "3.11.7",
  ["x-stainless-timeout"] = "600",
}) do
  wrk.headers[name] = value
end
wrk.body = assert(io.open(os.getenv("BENCH_BODY"), "rb")):read("*a")

function done(summary, latency, requests)
  io.write(string.format('\nRESULT {"requests": %d, "seconds": %.6f, "failed": %d}\n', summary.requests,
    summary.duration / 1e6, summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.write))
end
