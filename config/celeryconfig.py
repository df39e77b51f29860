"""Celery's settings; the reasons for each stand in docs/explanation/execution.md."""

from django.conf import settings

broker_url = settings.BROKER_URL
result_backend = None
task_serializer = result_serializer = "json"
accept_content = ["json"]
task_ignore_result = True
task_acks_late = False
task_reject_on_worker_lost = False
task_store_errors_even_if_ignored = False
worker_prefetch_multiplier = 1
worker_disable_prefetch = not broker_url.startswith("amqp")  # Redis only
worker_enable_remote_control = False
worker_send_task_events = False
worker_redirect_stdouts = False
worker_hijack_root_logger = False
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
broker_connection_timeout = 2
broker_heartbeat = 10  # AMQP only: whoever went away without a word is noticed after two of them
# A broker that accepts and never answers is given up after two seconds. Each transport takes what is its own.
broker_transport_options = {
    "max_retries": 1,
    # Redis
    "visibility_timeout": 3600,
    "socket_connect_timeout": 1,
    "socket_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 15,
    # AMQP; confirmed, so that whoever publishes learns that the broker has restarted
    "confirm_publish": True,
    "read_timeout": 2,
    "write_timeout": 2,
}
# Once, on a new connection: over AMQP one that broke is not mended otherwise, not even beat's.
task_publish_retry = True
task_publish_retry_policy = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
worker_soft_shutdown_timeout = 30
worker_enable_soft_shutdown_on_idle = True
task_time_limit = None  # the supervisor enforces limits; a hard limit here would orphan the step
beat_schedule = {
    # Every worker reconciles by itself; beat is one more hand, and none when it is dead.
    "reconcile": {"task": "orchestration.reconcile", "schedule": 5.0, "options": {"expires": 5}},
    "logs": {"task": "orchestration.keep_logs", "schedule": 60.0, "options": {"expires": 60}},
    "policy": {"task": "approvals.sync_policy", "schedule": 60.0, "options": {"expires": 60}},
    "replays": {"task": "approvals.sweep_replays", "schedule": 15.0, "options": {"expires": 15}},
    "exports": {"task": "audit.sweep_exports", "schedule": 15.0, "options": {"expires": 15}},
    "tests": {"task": "audit.test_daily", "schedule": 60.0, "options": {"expires": 60}},
    "alarm": {"task": "audit.watch", "schedule": 30.0, "options": {"expires": 30}},
    "probe": {"task": "approvals.probe", "schedule": 60.0, "options": {"expires": 60}},
    "engagements": {"task": "accounts.settle_engagements", "schedule": 60.0, "options": {"expires": 60}},
    "keep": {"task": "audit.keep", "schedule": 600.0, "options": {"expires": 600}},
    "examine": {"task": "audit.examine", "schedule": 600.0, "options": {"expires": 600}},
    "forget": {"task": "accounts.forget", "schedule": 3600.0, "options": {"expires": 3600}},
}
