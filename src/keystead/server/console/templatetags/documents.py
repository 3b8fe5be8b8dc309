"""Documents as people read them."""

import json
from typing import Any

from django import template

register = template.Library()


@register.filter
def pretty(document: Any) -> str:
    """Return JSON on several lines."""
    return json.dumps(document, indent=2, ensure_ascii=False)
