"""How numbers are written in pages."""

from django import template

register = template.Library()


@register.filter
def separated(number: int) -> str:
    """Return ``number`` with a narrow no-break space between thousands: 1 234 567."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
