"""How numbers are written in pages."""

from django import template

from keystead.server.usage.prices import amount

register = template.Library()


@register.filter
def separated(number: int) -> str:
    """Return ``number`` with a narrow no-break space between thousands: 1 234 567."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


@register.filter
def unlocalized(number: float) -> str:
    """Return a number as pictures have it, with a point, whatever the language of the page."""
    return f"{number:g}"


@register.filter
def money(micro: int) -> str:
    """Return micro-dollars as people read them: to the cent, and below a dollar to a hundredth of one."""
    if 0 < micro < 50:
        return "<$0.0001"
    whole, _, rest = amount(micro, 2 if micro >= 1_000_000 or micro == 0 else 4).partition(".")
    return f"${separated(int(whole))}.{rest}"
