"""The pages that the demo's deployments change; there is nothing here outside demo mode."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from orchestration import demo


@require_GET
def site(request: HttpRequest, environment: str, service: str) -> HttpResponse:
    """What a service of the demo bank serves in an environment; both names are slugs, so no path leaves the folder."""
    page = demo.root() / "envs" / environment / service / "index.html"
    if not settings.DEMO or not page.is_file():
        raise Http404("Nothing has been deployed there yet.")
    return HttpResponse(page.read_bytes())
