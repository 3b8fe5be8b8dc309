"""What a coding agent sends: the same tools every time, and everything that was said, read and run so far."""

import json
from typing import Any

CODE = '''\
class Basket:
    """What somebody is about to buy."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.lines: dict[str, int] = {}

    def add(self, article: str, count: int = 1) -> None:
        if count < 1:
            raise ValueError(f"count: must be at least 1, not {count}")
        self.lines[article] = self.lines.get(article, 0) + count

    def as_json(self) -> dict[str, object]:
        return {"owner": self.owner, "lines": [{"article": one, "count": n} for one, n in self.lines.items()]}

'''
PRINTED = "\x1b[32m12 passed\x1b[0m, \x1b[31m1 failed\x1b[0m: tests/test_basket.py::test_add - KeyError: 'article'\n"


def _tool(name: str, *inputs: str) -> dict[str, Any]:
    properties = {one: {"type": "string", "description": f"The {one} that the tool works on."} for one in inputs}
    schema = {"type": "object", "properties": properties, "required": list(inputs)}
    return {"name": name, "description": f"Use this for {name}. " * 20, "input_schema": schema}


TOOLS = [
    _tool("read", "file_path", "offset", "limit"),
    _tool("edit", "file_path", "old_string", "new_string"),
    _tool("run", "command", "description"),
    _tool("delegate", "description", "prompt", "model"),
]


def _turn(number: int) -> list[dict[str, Any]]:
    """Return a call and its result: a file that was read, or what a command printed."""
    name, given = (
        ("read", {"file_path": f"src/basket_{number}.py"}) if number % 3 else ("run", {"command": "make test"})
    )
    result = (
        "".join(f"{line:6}\t{text}\n" for line, text in enumerate((CODE * 3).splitlines(), 1))
        if number % 3
        else PRINTED * 24
    )
    call = {"type": "tool_use", "id": f"toolu_{number:024}", "name": name, "input": given}
    back = {"type": "tool_result", "tool_use_id": f"toolu_{number:024}", "content": [{"type": "text", "text": result}]}
    said = {"type": "text", "text": f"I look at part {number} of the basket first."}
    return [{"role": "assistant", "content": [said, call]}, {"role": "user", "content": [back]}]


def body(model: str, turns: int) -> str:
    """Return the request after so many calls of tools."""
    first = {"role": "user", "content": "Why is test_add red?"}
    document = {
        "model": model,
        "max_tokens": 64,
        "messages": [first, *(message for number in range(turns) for message in _turn(number))],
        "system": [{"type": "text", "text": "You are a careful engineer. " * 100}],
        "tools": TOOLS,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)
