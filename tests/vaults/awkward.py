"""Sixty values that tools are known to spoil: each has to come back byte for byte, whichever way it went in."""

from __future__ import annotations

PEM = (
    "-----BEGIN PRIVATE KEY-----\nMIIBVQIBADANBgkqhkiG9w0BAQEFAASCAT8wggE7AgEAAkEA\n"
    "q7BFUpkGp3+LQmlQYx2eqzDV+xeG8kx/sQFV18S5JhzGeIJNA72wSeukEPojtqUy\n-----END PRIVATE KEY-----\n"
)
JSON = '{\n  "user": "ada",\n  "pass\\u00e9": "a\\nb",\n  "n": 1.0,\n  "big": 12345678901234567890\n}'

VALUES: dict[str, str] = {
    # --- Line breaks and ends ---
    "lf": "one\ntwo\nthree",
    "lf at the end": "one\ntwo\n",
    "crlf": "one\r\ntwo\r\nthree",
    "crlf at the end": "one\r\ntwo\r\n",
    "cr": "one\rtwo\rthree",
    "mixed line breaks": "one\r\ntwo\nthree\rfour",
    "only a line break": "\n",
    "line break first": "\nsecret",
    "many line breaks at the end": "secret\n\n\n",
    "connection list": "URL1=abc\nURL2=xyz",
    "unicode line separator": "one\u2028two\u2029three",
    "next line": "one\x85two",
    "vertical tab and form feed": "one\x0btwo\x0cthree",
    # --- White space ---
    "space first": " secret",
    "space last": "secret ",
    "only spaces": "   ",
    "tab": "one\ttwo\t",
    "only a tab": "\t",
    "no-break space": "one\u00a0two",
    "zero width space": "one\u200btwo",
    "ideographic space": "\u3000secret\u3000",
    # --- What cannot be seen ---
    "byte order mark first": "\ufeffsecret",
    "byte order mark within": "sec\ufeffret",
    "soft hyphen": "one\u00adtwo",
    "right to left": "abc\u202edef\u202c",
    "joiners": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "escape character": "\x1b[31mred\x1b[0m",
    "delete character": "one\x7ftwo",
    # --- What programs give a meaning to ---
    "literal backslash n": "one\\ntwo",
    "backslashes": "B):xsR0zx\\!~",
    "double backslash": "Pass\\\\Word",
    "dollars": 'ABC"$$123==)',
    "only dollars": "$$",
    "variable": "${HOME} $(id) `id`",
    "dash first": "-secret",
    "ampersand": "a&b=c;d",
    "percent zero a": "%0AMc2x%0vYYM%",
    "percent only": "100%",
    "plus and space": "a+b c%20d",
    "percent 3b": "%3B+&",
    "script": "<script>alert(1)</script>",
    "html": '<b class="x">&amp;&lt;</b>',
    "attribute breaker": "\"' onmouseover=alert(1) x='",
    "template": "{{7*7}} {% csrf_token %} #{7*7} ${{x}}",
    "sql": "'; DROP TABLE secrets; --",
    "formula": "=1+1|cmd'!A0",
    "url": "postgres://user:p%40ss@host:5432/db?sslmode=require#frag",
    "env line": 'export A="b c" # d',
    "yaml": "a: 'b'\n- c\n",
    # --- Forms of content ---
    "pem": PEM,
    "json": JSON,
    "base64": "aGVsbG8gd29ybGQhIQ==",
    "base64 in lines": "aGVsbG8gd29ybGQhIQ\naGVsbG8gd29ybGQhIQ==\n",
    "hex": "00ff00ff00ff",
    "zeros first": "000123",
    "umlauts": "pässwörd \u2013 ß",
    "combining": "e\u0301 and \u00e9",
    "emoji": "\U0001f511\U0001f1fa\U0001f1f3",
    "one byte": "x",
    "as long as it can be": "é" * 12_800,
}
