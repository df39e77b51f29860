"""What a passkey is asked to sign. A session's door: a token has no passkey."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.acting import acting
from approvals import ceremony
from orchestration import access, asking
from orchestration.api.shapes import changes as shapes


class Challenge(APIView):
    """The challenge of one decision, from exactly what the page shows. Stores nothing, decides nothing."""

    @extend_schema(request=shapes.ToSign, responses=shapes.Challenge)
    def post(self, request: Request, key: str) -> Response:
        change = access.get_change_or_404(request.user, key)
        asked = shapes.ToSign(data=request.data)
        asked.is_valid(raise_exception=True)
        told = ceremony.to_sign(
            request,
            change=str(change.pk),
            revision=asking.current_revision(change).number,
            by=acting(request),
            **asked.validated_data,
        )
        return Response(shapes.Challenge(told).data)
