"""The addresses of changes and runs, grouped by noun."""

from django.urls import include, path

from orchestration.pages import (
    asked,
    break_glass,
    calendar,
    changes,
    demo,
    destinations,
    environments,
    evidence,
    exceptions,
    feed,
    inbox,
    logs,
    planned,
    requests,
    reviewing,
    runs,
    secrets,
    stopping,
    undoing,
    versions,
    workers,
    workflows,
)

workflow_urls = [
    path("", workflows.catalogue, name="workflows"),
    path("<slug:slug>/", workflows.detail, name="workflow"),
    path("<slug:slug>/new/", requests.new, name="request"),
    path("<slug:slug>/preview/", requests.preview, name="preview"),
    path("<slug:slug>/versions/<int:number>/", versions.detail, name="version"),
    path("<slug:slug>/versions/<int:number>/approve/", versions.approve, name="approve_version"),
    path("<slug:slug>/versions/<int:number>/refuse/", versions.refuse, name="refuse_version"),
]
change_urls = [
    path("", changes.index, name="changes"),
    path("<str:key>/", changes.detail, name="change"),
    path("<str:key>/live/<slug:part>/", changes.live, name="live"),
    path("<str:key>/cancel/", changes.cancel, name="cancel"),
    path("<str:key>/edit/", requests.edit, name="edit"),
    path("<str:key>/decide/", changes.decide, name="decide"),
    path(
        "<str:key>/sign-offs/<uuid:sign_off>/withdraw/", changes.withdraw_sign_off, name="withdraw_sign_off"
    ),
    path("<str:key>/plan/", planned.again, name="plan_again"),
    path("<str:key>/plan/<str:step>/<str:name>", planned.artifact, name="artifact"),
    path("<str:key>/withdraw/", changes.withdraw, name="withdraw"),
    path("<str:key>/start/", changes.start, name="start"),
    path("<str:key>/rollback/", undoing.rollback, name="rollback"),
    path("<str:key>/comment/", changes.comment, name="comment"),
    path("<str:key>/evidence/", evidence.attach, name="attach_evidence"),
    path("<str:key>/evidence/<str:digest>/", evidence.download, name="evidence_file"),
    path("<str:key>/evidence/<str:digest>/remove/", evidence.remove, name="remove_evidence"),
    path("<str:key>/claim/", reviewing.claim, name="claim"),
    path("<str:key>/release/", reviewing.release, name="release"),
    path("<str:key>/hand-over/", reviewing.hand_over, name="hand_over"),
    path("<str:key>/ask/", reviewing.ask, name="ask"),
    path("<str:key>/recuse/", reviewing.recuse, name="recuse"),
    path("<str:key>/questions/<uuid:question>/answer/", reviewing.answer, name="answer"),
    path("<str:key>/review/", break_glass.conclude, name="review"),
    path(
        "<str:key>/obligations/<uuid:obligation>/close/", reviewing.close_obligation, name="close_obligation"
    ),
]
run_urls = [
    path("", runs.index, name="runs"),
    path("<str:key>/", runs.detail, name="run"),
    path("<str:key>/live/<slug:part>/", runs.live, name="run_live"),
    path("<str:key>/pause/", runs.pause, name="pause_run"),
    path("<str:key>/resume/", runs.resume, name="resume_run"),
    path("<str:key>/cancel/", runs.cancel, name="cancel_run"),
    path("<str:key>/steps/<str:step>/log/", logs.lines, name="step_log"),
    path("<str:key>/steps/<str:step>/log/search/", logs.search, name="step_log_search"),
    path("<str:key>/steps/<str:step>/log.txt", logs.text, name="step_log_text"),
    path("<str:key>/steps/<str:step>/resolve/", runs.resolve, name="resolve_step"),
    path("<str:key>/steps/<str:step>/answer/", asked.answer, name="answer_step"),
]

calendar_urls = [
    path("", calendar.index, name="calendar"),
    path("new/", calendar.new, name="new_period"),
    path("preview/", calendar.preview, name="preview_period"),
    path("feed/", feed.address, name="feed"),
    path("feed/new/", feed.create, name="new_feed"),
    path("feed/revoke/", feed.revoke, name="revoke_feed"),
    path("exceptions/<uuid:exception>/end/", calendar.end_exception, name="end_freeze_exception"),
    path("<uuid:key>/", calendar.detail, name="period"),
    path("<uuid:key>/edit/", calendar.edit, name="edit_period"),
]

secret_urls = [
    path("", secrets.index, name="secrets"),
    path("new/", secrets.new, name="new_secret"),
    path("<uuid:key>/", secrets.detail, name="secret"),
    path("<uuid:key>/write/", secrets.write, name="write_secret"),
    path("<uuid:key>/narrow/", secrets.narrow, name="narrow_secret"),
    path("<uuid:key>/versions/<int:number>/destroy/", secrets.destroy, name="destroy_secret_version"),
]

destination_urls = [
    path("", destinations.index, name="destinations"),
    path("live/", destinations.live, name="destinations_live"),
    path("<uuid:key>/", destinations.detail, name="destination"),
    path("<uuid:key>/live/", destinations.live_detail, name="destination_live"),
    path("<uuid:key>/test/", destinations.test, name="test_destination"),
    path("<uuid:key>/resume/", destinations.resume, name="resume_destination"),
    path("<uuid:key>/skip/", destinations.skip, name="skip_destination"),
]

app_name = "orchestration"
urlpatterns = [
    path("", inbox.home, name="home"),
    path("inbox/", inbox.inbox, name="inbox"),
    path("inbox/<str:tab>/", inbox.inbox, name="inbox_tab"),
    path("workflows/", include(workflow_urls)),
    path("changes/", include(change_urls)),
    path("runs/", include(run_urls)),
    path("exceptions/", exceptions.register, name="exceptions"),
    path("exceptions/<uuid:waiver>/end/", exceptions.end, name="end_exception"),
    path("break-glass/", break_glass.choose, name="break_glass"),
    path("break-glass/<slug:slug>/", break_glass.new, name="break_glass_form"),
    path("break-glass/<slug:slug>/preview/", break_glass.preview, name="break_glass_preview"),
    path("calendar/", include(calendar_urls)),
    path("secrets/", include(secret_urls)),
    path("calendar.ics", feed.ics, name="calendar_ics"),
    path("admin/destinations/", include(destination_urls)),
    path("admin/workers/", workers.index, name="workers"),
    path("admin/workers/live/", workers.live, name="workers_live"),
    path("kill-switches/", stopping.index, name="kill_switches"),
    path("kill-switches/throw/", stopping.throw, name="throw_kill_switch"),
    path("environments/", environments.matrix, name="environments"),
    path("demo/site/<slug:environment>/<slug:service>/", demo.site, name="demo_site"),
]
