"""An operator's prices come from a file, and a bad file stops the start with the place and the reason."""

from datetime import date
from pathlib import Path

import pytest

from keystead.errors import ConfigurationError
from keystead.server import installation
from keystead.server.settings import ServerSettings
from keystead.server.usage import price_file
from keystead.server.usage.prices import Usage

DAY = (date(2026, 12, 2) - date(1970, 1, 1)).days
ROW = """
[[prices]]
upstream = "anthropic"
model = "claude-opus-5"
since = 2026-12-01
input = 4.25
output = 21.25
cache_read = 0.425
cache_write_5m = 5.3125
cache_write_1h = 8.50
web_search = 10
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "prices.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_its_rows_replace_and_the_others_stay(tmp_path: Path) -> None:
    book = price_file.read(written(tmp_path, ROW))
    cost = book.cost("anthropic", "claude-opus-5", DAY, Usage(1_000_000, 0, 1_000, 1_000_000, 400_000, 3))
    assert cost.micro == 4_250_000 + 425 + 600_000 * 53125 // 10_000 + 3_400_000 + 30_000
    assert cost.price.startswith("anthropic/claude-opus-5@2026-12-01#")
    assert not cost.is_estimate
    assert book.cost("anthropic", "claude-opus-4-5", DAY, Usage(1_000_000)).micro == 5_000_000


def test_its_rows_say_what_else_changes_the_price(tmp_path: Path) -> None:
    book = price_file.read(written(tmp_path, ROW + "factors = { fast = 2, us = 1.15, priority = 0 }\n"))
    costs = [book.cost("anthropic", "claude-opus-5", DAY, Usage(1_000_000, 0, 0, 0, 0, 1), tariff=tariff)
             for tariff in ("", "fast", "us", "fast us", "priority", "batch")]  # fmt: skip
    assert [cost.micro for cost in costs] == [4_260_000, 8_510_000, 4_897_500, 9_785_000, 10_000, 4_260_000]
    assert [cost.is_estimate for cost in costs] == [False] * 5 + [True]


def test_another_content_is_another_version(tmp_path: Path) -> None:
    versions = {
        price_file.read(written(tmp_path, text)).cost("anthropic", "claude-opus-5", DAY, Usage(1)).price
        for text in (ROW, ROW + "# changed\n", ROW)
    }
    assert len(versions) == 2


def test_the_default_tier_can_be_set(tmp_path: Path) -> None:
    rates = "\n".join(f"{name} = 1" for name in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h"))
    book = price_file.read(written(tmp_path, f"[default]\n{rates}\n"))
    cost = book.cost("elsewhere", "m", DAY, Usage(1_000_000))
    assert (cost.micro, cost.is_estimate) == (1_000_000, True)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (ROW + "factors = 2", "prices[1].factors must be a table, such as { fast = 2 }"),
        (ROW + "factors = { Fast = 2 }", "prices[1].factors.Fast is no word of a tariff"),
        (ROW + "factors = { fast = '2' }", "prices[1].factors.fast must be a number of times"),
        (ROW + "factors = { fast = 2.005 }", "prices[1].factors.fast must be between 0 and 100, with two digits"),
        (ROW + "factors = { fast = -1 }", "prices[1].factors.fast must be between 0 and 100"),
        (ROW + "factors = { fast = nan }", "prices[1].factors.fast must be between 0 and 100"),
        ("[[prices]]\nmodel = \n", "line 2"),
        (b"\xff", "utf-8"),
        ("price = 1", "price is not a field; the fields are default, prices"),
        ("prices = 1", "prices must be an array of tables"),
        ("prices = [1]", "prices[1] must be a table"),
        ("default = 1", "default must be a table"),
        ("[default]\ninput = 1", "default.output must be a price in USD"),
        (ROW + "inptu = 1", "prices[1].inptu is not a field"),
        (ROW.replace("input = 4.25", 'input = "4.25"'), "prices[1].input must be a price in USD"),
        (ROW.replace("input = 4.25", "input = true"), "prices[1].input must be a price in USD"),
        (ROW.replace("input = 4.25", "input = -1"), "prices[1].input must be between 0 and 1000000"),
        (ROW.replace("input = 4.25", "input = nan"), "prices[1].input must be between"),
        (ROW.replace("input = 4.25", "input = inf"), "prices[1].input must be between"),
        (ROW.replace("input = 4.25", "input = 1e-7"), "prices[1].input has more than six digits"),
        (ROW.replace("input = 4.25", "input = 1e999999999"), "prices[1].input must be between"),
        (ROW.replace("output = 21.25\n", ""), "prices[1].output must be a price in USD"),
        (ROW.replace("2026-12-01", '"2026-12-01"'), "prices[1].since must be a day without quotes"),
        (ROW.replace("2026-12-01", "2026-12-01T00:00:00Z"), "prices[1].since must be a day"),
        (ROW.replace('"claude-opus-5"', '""'), "prices[1].model must be a text of 1 to 100 characters"),
        (ROW.replace('"anthropic"', f'"{"a" * 33}"'), "prices[1].upstream must be a text of 1 to 32 characters"),
        (ROW + "prompt_over = -1", "prices[1].prompt_over must be a number of tokens"),
        (ROW + ROW, "prices[2] says again what prices[1] is for"),
        ("#" * (1 << 20) + "\n", "larger than 1 MiB"),
    ],
)
def test_a_bad_file_stops_the_start_with_its_name_the_place_and_the_reason(
    tmp_path: Path, text: str | bytes, reason: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigurationError) as raised:
        installation.check_files(ServerSettings(data_dir=tmp_path, price_book_file=str(path)))
    assert str(path) in raised.value.message
    assert reason in raised.value.message
    assert "KEYSTEAD_SERVER_PRICE_BOOK_FILE" in (raised.value.hint or "")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be used: No such file"):
        price_file.read(tmp_path / "none.toml")
