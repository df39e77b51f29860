"""Addresses of the API about workflows, changes and runs, below /api/v1/."""

from django.urls import URLPattern, URLResolver, include, path

from orchestration.api import (
    break_glass,
    catalogue,
    changes,
    exceptions,
    reviewing,
    runs,
    signing,
    stopping,
    workers,
)

workflow_urls = [
    path("", catalogue.Workflows.as_view()),
    path("schema/", catalogue.Schema.as_view()),
    path("<str:slug>/", catalogue.OneWorkflow.as_view()),
    path("<str:slug>/versions/", catalogue.Versions.as_view()),
    path("<str:slug>/versions/<str:digest>/", catalogue.OneVersion.as_view()),
    path("<str:slug>/versions/<str:digest>/approve/", catalogue.ApproveVersion.as_view()),
    path("<str:slug>/versions/<str:digest>/refuse/", catalogue.RefuseVersion.as_view()),
]
change_urls = [
    path("", changes.Changes.as_view()),
    path("preview/", changes.Preview.as_view()),
    path("<str:key>/", changes.OneChange.as_view()),
    path("<str:key>/sign-offs/", changes.SignOffs.as_view()),
    path("<str:key>/sign-offs/challenge/", signing.Challenge.as_view()),
    path("<str:key>/sign-offs/<uuid:sign_off>/withdraw/", changes.WithdrawSignOff.as_view()),
    path("<str:key>/withdraw/", changes.Withdraw.as_view()),
    path("<str:key>/start/", changes.Start.as_view()),
    path("<str:key>/cancel/", changes.Cancel.as_view()),
    path("<str:key>/comments/", changes.Comments.as_view()),
    path("<str:key>/timeline/", changes.Timeline.as_view()),
    path("<str:key>/claim/", reviewing.OneClaim.as_view()),
    path("<str:key>/hand-over/", reviewing.HandOver.as_view()),
    path("<str:key>/ask/", reviewing.Ask.as_view()),
    path("<str:key>/questions/<uuid:question>/answer/", reviewing.Answer.as_view()),
    path("<str:key>/review/", break_glass.EmergencyReview.as_view()),
    path("<str:key>/obligations/", reviewing.Obligations.as_view()),
    path("<str:key>/obligations/<uuid:obligation>/close/", reviewing.CloseObligation.as_view()),
]
run_urls = [
    path("", runs.Runs.as_view()),
    path("<str:key>/", runs.OneRun.as_view()),
    path("<str:key>/steps/", runs.Steps.as_view()),
    path("<str:key>/steps/<str:step>/log", runs.Log.as_view()),
    path("<str:key>/events", runs.Events.as_view()),
    path("<str:key>/cancel/", runs.Cancel.as_view()),
    path("<str:key>/pause/", runs.Pause.as_view()),
    path("<str:key>/resume/", runs.Resume.as_view()),
    path("<str:key>/resolve/", runs.Resolve.as_view()),
    path("<str:key>/permit/", runs.OnePermit.as_view()),
]
urlpatterns: list[URLPattern | URLResolver] = [
    path("workflows/", include(workflow_urls)),
    path("services/", catalogue.Services.as_view()),
    path("services/<str:slug>/", catalogue.OneService.as_view()),
    path("environments/", catalogue.Environments.as_view()),
    path("environments/<str:slug>/", catalogue.OneEnvironment.as_view()),
    path("changes/", include(change_urls)),
    path("exceptions/", exceptions.Exceptions.as_view()),
    path("break-glass/", break_glass.Emergencies.as_view()),
    path("workers/", workers.Workers.as_view()),
    path("kill-switches/", stopping.KillSwitches.as_view()),
    path("runs/", include(run_urls)),
    path("me/inbox/", changes.MyInbox.as_view()),
]
