"""Requests that are malformed, or that two servers could understand differently: tables, by what is wrong."""

from typing import Final

BODY = b'{"model":"keystead-test-1","max_tokens":1,"messages":[]}'
SMUGGLED = b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
LENGTH = f"content-length: {len(BODY)}"

AMBIGUOUS: Final = {
    "length and chunks": ([LENGTH, "transfer-encoding: chunked"], BODY),
    "chunks and length": (["transfer-encoding: chunked", LENGTH], BODY),
    "two different lengths": ([LENGTH, "content-length: 5"], BODY),
    "the same length twice": ([LENGTH, LENGTH], BODY),
    "a list of lengths": ([f"{LENGTH}, {len(BODY)}"], BODY),
    "a signed length": ([f"content-length: +{len(BODY)}"], BODY),
    "a negative length": (["content-length: -1"], BODY),
    "a hexadecimal length": (["content-length: 0x10"], BODY),
    "an empty length": (["content-length:"], BODY),
    "an enormous length": (["content-length: 99999999999999999999999999"], BODY),
    "a blank before the colon": ([f"content-length : {len(BODY)}"], BODY),
    "an unknown coding": (["transfer-encoding: xchunked"], b"0\r\n\r\n"),
    "chunked not last": (["transfer-encoding: chunked, identity"], b"0\r\n\r\n"),
    "chunked twice": (["transfer-encoding: chunked", "transfer-encoding: chunked"], b"0\r\n\r\n"),
    "gzip before chunked": (["transfer-encoding: gzip, chunked"], b"0\r\n\r\n"),
    "identity": (["transfer-encoding: identity", LENGTH], BODY),
    "vertical tab before chunked": (["transfer-encoding: \x0bchunked"], b"0\r\n\r\n"),
    "a folded header": (["x-a: 1", " transfer-encoding: chunked", LENGTH], BODY),
    "a header without a name": ([": value", LENGTH], BODY),
    "a header without a colon": (["no colon here", LENGTH], BODY),
    "a NUL in a header": (["x-a: a\0b", LENGTH], BODY),
    "a bare carriage return in a header": (["x-a: a\rb", LENGTH], BODY),
    "a bare line feed in a header": (["x-a: a\nx-api-key: b", LENGTH], BODY),
    "a chunk size that is no number": (["transfer-encoding: chunked"], b"zz\r\n" + BODY),
    "a chunk size with a sign": (["transfer-encoding: chunked"], b"+5\r\nhello\r\n0\r\n\r\n"),
    "a chunk size in 0x": (["transfer-encoding: chunked"], b"0x5\r\nhello\r\n0\r\n\r\n"),
    "a chunk longer than its size": (["transfer-encoding: chunked"], b"5\r\nhelloo\r\n0\r\n\r\n"),
    "a chunk size that overflows": (["transfer-encoding: chunked"], b"fffffffffffffffff\r\n"),
    "chunks ended by bare line feeds": (["transfer-encoding: chunked"], b"5\nhello\n0\n\n"),
    "two hosts": (["host: other", LENGTH], BODY),
    "two keys": (["x-api-key: other", LENGTH], BODY),
    "an upgrade": (["connection: upgrade", "upgrade: h2c", LENGTH], BODY),
    "an unknown expectation": (["expect: 200-ok", LENGTH], BODY),
    "a compressed body": (["content-encoding: gzip", LENGTH], BODY),
    "a second request at once": ([LENGTH], BODY + SMUGGLED),
    "garbage after the body": ([LENGTH], BODY + b"GARBAGE / x\r\n\r\n"),
}

RAW: Final = {
    "no host": b"POST /v1/messages HTTP/1.1\r\ncontent-length: 0\r\n\r\n",
    "an empty host": b"POST /v1/messages HTTP/1.1\r\nhost:\r\ncontent-length: 0\r\n\r\n",
    "a version nobody speaks": b"POST /v1/messages HTTP/3.7\r\nhost: x\r\n\r\n",
    "a version with another form": b"POST /v1/messages HTTP/2.0\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    "a version without headers": b"POST /v1/messages HTTP/0.9\r\nhost: x\r\ncontent-length: 0\r\n\r\n",
    "chunks of HTTP/1.0": b"POST /v1/messages HTTP/1.0\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a blank in the target": b"POST /v1/mess ages HTTP/1.1\r\nhost: x\r\n\r\n",
    "a control character in the target": b"POST /v1/messages\x01 HTTP/1.1\r\nhost: x\r\n\r\n",
    "an unknown method": b"BREW /v1/messages HTTP/1.1\r\nhost: x\r\n\r\n",
    "a lower-case method": b"post /v1/messages HTTP/1.1\r\nhost: x\r\n\r\n",
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    "line feeds only": b"POST /v1/messages HTTP/1.1\nhost: x\ncontent-length: 0\n\n",
}

WITHOUT_HEADERS: Final = {
    "a version of the future": b"POST /v1/messages HTTP/4.0",
    "a version with two digits": b"POST /v1/messages HTTP/11.1",
    "a version without its number": b"POST /v1/messages HTTP/",
    "another protocol": b"POST /v1/messages ICY/1.1",
    "no version": b"POST /v1/messages",
    "no target": b"POST HTTP/1.1",
    "two blanks before the version, one after": b"POST /v1/messages  HTTP/1.1 ",
    "a tab for a blank": b"POST\t/v1/messages\tHTTP/1.1",
    "a NUL in the target": b"POST /v1/mess\0ages HTTP/1.1",
    "a delete character in the method": b"PO\x7fST /v1/messages HTTP/1.1",
    "a target that is no path": b"POST v1/messages HTTP/1.1",
    "a target of an asterisk": b"POST * HTTP/1.1",
    "a target above the root": b"POST /../v1/messages HTTP/1.1",
    "an escape that is none": b"POST /v1/messages%zz HTTP/1.1",
    "an escaped NUL": b"POST /v1/messages%00 HTTP/1.1",
    "an asterisk for all": b"OPTIONS * HTTP/1.1",
    "a tunnel": b"CONNECT gateway:443 HTTP/1.1",
    "a trace": b"TRACE /v1/messages HTTP/1.1",
    "a method with a colon": b"POST: /v1/messages HTTP/1.1",
    "a method in brackets": b"(POST) /v1/messages HTTP/1.1",
    "another server's address": b"POST http://other.example/v1/messages HTTP/1.1",
    "an address of another scheme": b"POST ftp://gateway/v1/messages HTTP/1.1",
    "the preface of HTTP/2": b"PRI * HTTP/2.0",
}
"""Request lines, each to be followed by headers that are in order."""

CHUNKS: Final = {
    "a size with a blank before it": b" 5\r\nhello\r\n0\r\n\r\n",
    "a size with an underscore": b"1_0\r\nhello\r\n0\r\n\r\n",
    "a size below nothing": b"-5\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "a size of many noughts": b"0" * 400 + b"5\r\nhello\r\n0\r\n\r\n",
    "a size that ends in a carriage return": b"5\rhello\r\n0\r\n\r\n",
    "data that ends in a line feed": b"5\r\nhello\n0\r\n\r\n",
    "data without an end": b"5\r\nhello0\r\n\r\n",
    "data longer than its size by two": b"5\r\nhelloXX0\r\n\r\n",
    "an extension with a NUL": b"5;a=\0\r\nhello\r\n0\r\n\r\n",
    "an extension with a line feed": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "an extension that ends in a carriage return": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "an endless extension": b"5;" + b"a" * 300_000,
    "a size in UTF-8": b"\xef\xbc\x95\r\nhello\r\n0\r\n\r\n",
    "endless trailers": b"0\r\n" + b"x: y\r\n" * 60_000,
    "a trailer with a NUL": b"0\r\nx: a\0b\r\n\r\n",
    "a trailer without a colon": b"0\r\nnocolon\r\n\r\n",
}
"""Bodies of a request whose transfer-encoding is chunked."""

FRAMING: Final = {
    "a length with a plus and blanks": "content-length:   +10",
    "a length with a comma": "content-length: 10,10",
    "a length with a semicolon": "content-length: 10;10",
    "a length with a point": "content-length: 10.0",
    "a length with an exponent": "content-length: 1e1",
    "a length with an underscore": "content-length: 1_0",
    "a length in other digits": "content-length: \xb2\xb3",
    "a length with a NUL": "content-length: 10\x00",
    "a length with a tab in it": "content-length: 1\t0",
    "a length of 20 digits": "content-length: 18446744073709551616",
    "a length with a letter": "content-length: 10a",
    "a coding with a comma before it": "transfer-encoding: ,chunked",
    "a coding in quotes": 'transfer-encoding: "chunked"',
    "a coding with a parameter": "transfer-encoding: chunked;q=1",
    "a coding with a NUL": "transfer-encoding: chunked\x00",
    "a coding that begins alike": "transfer-encoding: chunkedx",
    "a coding that ends alike": "transfer-encoding: xchunked",
    "an empty coding": "transfer-encoding:",
    "deflate": "transfer-encoding: deflate",
    "trailers for a coding": "transfer-encoding: trailers",
}
"""One header line each that is to say where the body ends, and does not."""

LINES: Final = {
    "a name with a tab": "x\ta: b",
    "a name with brackets": "x(a): b",
    "a name with a NUL": "x\x00a: b",
    "a name with a colon before it": ":x: b",
    "a name in Latin-1": "x\xe4: b",
    "a host with a blank": "host: a b",
    "a host of a path": "host: a/b",
    "a host with a NUL": "host: a\x00b",
    "a second host": "Host: gateway",
}
"""One header line each, beside those of a request that is in order."""


def requests(key: str) -> dict[str, bytes]:
    """Every malformed or ambiguous request as it goes over the wire, with a credential that is known."""
    usual = f"host: gateway\r\ncontent-type: application/json\r\nx-api-key: {key}\r\n".encode()
    line = b"POST /v1/messages HTTP/1.1\r\n"

    def lines(added: list[str]) -> bytes:
        return line + usual + "".join(f"{one}\r\n" for one in added).encode("latin-1") + b"\r\n"

    return {
        **RAW,
        **{name: lines(added) + body for name, (added, body) in AMBIGUOUS.items()},
        **{name: first + b"\r\n" + usual + b"content-length: 0\r\n\r\n" for name, first in WITHOUT_HEADERS.items()},
        **{name: lines(["transfer-encoding: chunked"]) + body for name, body in CHUNKS.items()},
        **{name: lines([one]) + BODY for name, one in FRAMING.items()},
        **{name: lines([one, LENGTH]) + BODY for name, one in LINES.items()},
    }
