"""Doors about runs: follow, stop, answer an unknown step. Each authorises, calls one function and answers."""

from collections.abc import Callable
from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.acting import acting
from audit.refusals import NotFound
from audit.rest.versions import versioned
from orchestration import access
from orchestration.api import shown
from orchestration.api.lists import after, filtered, parameters
from orchestration.api.shapes import runs as shapes
from orchestration.engine import answers
from orchestration.engine import cancel as cancelling
from orchestration.engine import pause as pausing
from orchestration.engine import resolve as resolving
from orchestration.models import Run, Step
from orchestration.search import RUN_KEYS

EVENTS = 500  # of one answer
AFTER = OpenApiParameter("after", int, description="the number up to which one has read")


@extend_schema_view(get=extend_schema(parameters=parameters(RUN_KEYS)))
class Runs(generics.ListAPIView[Run]):
    """The runs that one may see, newest first."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}
    serializer_class = shapes.RunRow
    ordering = "-number"

    def get_queryset(self) -> QuerySet[Run]:
        found = filtered(access.visible_runs(self.request.user), self.request, RUN_KEYS)
        return found.select_related("change__service", "change__environment")


class OneRun(APIView):
    """One run with its steps."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses=shapes.RunDetail)
    def get(self, request: Request, key: str) -> Response:
        return _run(access.get_run_or_404(request.user, key), request)


class Steps(APIView):
    """The steps of a run, in their order."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses=shapes.StepRow(many=True))
    def get(self, request: Request, key: str) -> Response:
        run = access.get_run_or_404(request.user, key)
        return Response(shapes.StepRow(shown.run_steps(run), many=True).data)


class Events(APIView):
    """What happened in a run behind a number, without a gap."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(parameters=[AFTER], responses=shapes.EventPage)
    def get(self, request: Request, key: str) -> Response:
        run, seen = access.get_run_or_404(request.user, key), after(request)
        found = list(run.events.filter(seq__gt=seen).order_by("seq")[: EVENTS + 1])
        page = found[:EVENTS]
        last = page[-1].seq if page else seen
        answer = {"results": page, "after": last, "more": len(found) > EVENTS}
        return Response(shapes.EventPage(answer).data)


class Cancel(APIView):
    """Stop a run; what has not started never will."""

    scopes: ClassVar[dict[str, str]] = {"POST": "runs:write"}

    @extend_schema(request=shapes.Stop, responses=shapes.RunDetail)
    def post(self, request: Request, key: str) -> Response:
        return _asked(request, key, cancelling.cancel)


class Pause(APIView):
    """Hold a run between its steps: what runs ends by itself, nothing new starts."""

    scopes: ClassVar[dict[str, str]] = {"POST": "runs:write"}

    @extend_schema(request=shapes.Stop, responses=shapes.RunDetail)
    def post(self, request: Request, key: str) -> Response:
        return _asked(request, key, pausing.pause)


class Resume(APIView):
    """Let a paused run go on."""

    scopes: ClassVar[dict[str, str]] = {"POST": "runs:write"}

    @extend_schema(request=shapes.Stop, responses=shapes.RunDetail)
    def post(self, request: Request, key: str) -> Response:
        return _asked(request, key, pausing.resume)


class Resolve(APIView):
    """A person says what became of a step whose worker vanished. No scope opens this to a token."""

    @extend_schema(request=shapes.Resolve, responses=shapes.RunDetail)
    def post(self, request: Request, key: str) -> Response:
        run = access.get_run_or_404(request.user, key)
        access.require_answer(request.user, run)
        asked = shapes.Resolve(data=request.data)
        asked.is_valid(raise_exception=True)
        given = asked.validated_data
        step = step_of(run, given["step"])
        resolving.resolve(step, given["decision"], by=acting(request), reason=given["reason"])
        return _run(access.get_run_or_404(request.user, key), request)


class Answer(APIView):
    """A person says that a step which they were asked to do is done, or that it failed. No scope opens this."""

    @extend_schema(request=shapes.Answer, responses=shapes.RunDetail)
    def post(self, request: Request, key: str, step: str) -> Response:
        run = access.get_run_or_404(request.user, key)
        found = step_of(run, step)
        asked = shapes.Answer(data=request.data)
        asked.is_valid(raise_exception=True)
        if found.state == Step.State.ASKING:
            access.require_tick_off(request.user, run, found)
        given = asked.validated_data
        answers.answer(
            found, given["decision"], by=acting(request), note=given["note"], outputs=given["outputs"]
        )
        return _run(access.get_run_or_404(request.user, key), request)


class OnePermit(APIView):
    """The signed record of why this run may run."""

    scopes: ClassVar[dict[str, str]] = {"GET": "changes:read"}

    @extend_schema(responses=shapes.PermitRow)
    def get(self, request: Request, key: str) -> Response:
        run = access.get_run_or_404(request.user, key)
        if run.permit is None:
            raise NotFound(f"{run.key} has not started, so it has no permit.")
        return Response(shapes.PermitRow(shown.permit(run.permit)).data)


def _asked(request: Request, key: str, verb: Callable[..., Run]) -> Response:
    """What is asked of a run as a whole, by those who may operate it, with a reason."""
    run = access.get_run_or_404(request.user, key)
    access.require_operate(request.user, run.change)
    asked = shapes.Stop(data=request.data)
    asked.is_valid(raise_exception=True)
    verb(run, by=acting(request), reason=asked.validated_data["reason"])
    return _run(access.get_run_or_404(request.user, key), request)


def _run(run: Run, request: Request) -> Response:
    row = shapes.RunRow(run).data
    steps = shapes.StepRow(shown.run_steps(run), many=True).data
    stand = shapes.Stand(shown.stand(request.user, run)).data
    return Response({**row, "queue": stand, "steps": steps}, headers=versioned(run))


def step_of(run: Run, key: str) -> Step:
    """The step of this name; NotFound."""
    found = run.steps.filter(key=key).first()
    if found is None:
        raise NotFound(f"{run.key} has no step of this name.")
    return found
