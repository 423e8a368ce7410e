"""Pages from templates: what is put into one is escaped, and a name that is missing fails."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from keywright.console import csrf, forms, names, times
from keywright.console.static_files import StaticFiles


def create_templates(static: StaticFiles) -> Environment:
    """The templates, with what all of them may use."""
    templates = Environment(
        loader=PackageLoader("keywright.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    more: dict[str, Any] = {
        "static": static.url,
        "csrf_name": csrf.FIELD,
        "request_id_name": forms.REQUEST_ID,
    }
    templates.globals.update(more)
    templates.filters.update(
        {
            "exactly": times.exactly,
            "on_day": times.on_day,
            "machine": times.machine,
            "in_words": times.length,
            "with_times": times.within,
            "remaining": times.remaining,
            "last_part": names.last_part,
            "within": names.within,
            "spelled": names.spelled,
            "browser": names.browser,
        }
    )
    templates.tests.update(
        {"near": times.is_near, "older_than": times.is_older, "telling": names.is_telling}
    )
    return templates
