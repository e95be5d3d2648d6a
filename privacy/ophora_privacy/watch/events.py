"""The closed list of events that a log line can be about, each with what it means."""

from collections.abc import Mapping

EVENTS: Mapping[str, str] = {
    "started": "coordinator: a run was begun or goes on",
    "round-started": "coordinator: the round's plan goes out to so many sites",
    "reply": "coordinator: what came of asking a site",
    "dropped": "coordinator: a site left an exchange of a secure sum",
    "round-finished": "coordinator: the round is committed",
    "release": "coordinator: the stage's release is written",
    "finished": "coordinator: no round is left",
    "failed": "coordinator: the rounds stopped",
    "page-login-refused": "coordinator's page: a wrong password",
    "page-unread": "coordinator's page: registry or folder could not be read",
    "generation-failed": "generator host: a video could not be made",
    "round-begun": "site: a round was agreed to and reserved",
    "round-done": "site: a round was tuned",
    "round-declined": "site: a round was not taken part in",
    "round-failed": "site: an unforeseen error in a round; a code left",
    "reply-sent": "site: a message was noted and goes out",
    "trainer-ready": "site: the base is loaded",
    "trainer-ended": "site: the trainer could not go on",
    "metrics-served": "both: metrics are served on this port of loopback",
    "metrics-unread": "both: a source of the metrics could not be read",
    "traces-off": "both: traces were asked for and can't be made",
    "withheld": "both: something was said that is on no list; `where` says by which line",
}
