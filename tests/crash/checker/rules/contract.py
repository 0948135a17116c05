"""The pairs of status and reason code that may stand in a feedback record."""

CODES: dict[str, frozenset[str]] = {
    "ACCEPTED": frozenset({"DECIDED"}),
    "DEGRADED": frozenset({
        "BREAKER_OPEN", "PROVIDER_ERROR", "PROVIDER_TIMEOUT", "PROVIDER_AUTH", "PROVIDER_QUOTA", "CONTENT_FILTERED",
        "OUTPUT_INVALID", "BUDGET_EXHAUSTED", "DEADLINE_EXCEEDED", "SWITCHED_OFF",
    }),
    "DUPLICATE": frozenset({"SAME_EVENT"}),
    "IGNORED": frozenset({
        "TYPE_NOT_SUBSCRIBED", "SELF_CAUSED", "MACHINE_GENERATED", "INTERNAL_NOTE", "HUMAN_OWNED", "TICKET_CLOSED",
        "EXPIRED", "NO_RELEVANT_CHANGE",
    }),
    "SUPERSEDED": frozenset({"NEWER_EVENT"}),
    "REJECTED": frozenset({
        "DECODE_FAILED", "UNKNOWN_SCHEMA", "VALIDATION_FAILED", "ENVELOPE_MISMATCH", "TENANT_UNKNOWN",
        "TENANT_DISABLED", "IDEMPOTENCY_CONFLICT", "PAYLOAD_TOO_LARGE",
    }),
    "DEFERRED": frozenset({
        "TENANT_RATE_LIMITED", "PROVIDER_RATE_LIMITED", "BREAKER_OPEN", "BUDGET_EXHAUSTED",
        "WAITING_FOR_EARLIER_EVENT",
    }),
}

# What a record may end as, by what its publisher meant it as. No run limits budgets, switches a model off, lets the provider
# answer nonsense or sends an event that expires.
_EVENT: dict[str, frozenset[str]] = {
    "ACCEPTED": CODES["ACCEPTED"], "SUPERSEDED": CODES["SUPERSEDED"],
    # Which of the records of one event is its copy is I1's and I2's to say: an event and its retry have the same bytes.
    "DUPLICATE": CODES["DUPLICATE"],
    "DEGRADED": frozenset({"BREAKER_OPEN", "PROVIDER_ERROR", "PROVIDER_TIMEOUT", "DEADLINE_EXCEEDED"}),
}
ENDS: dict[str, dict[str, frozenset[str]]] = {
    "event": _EVENT, "retry": _EVENT, "rewritten": _EVENT, "twin": _EVENT,
    "conflict": {"REJECTED": frozenset({"IDEMPOTENCY_CONFLICT"})},
    "stranger": {"REJECTED": frozenset({"TENANT_UNKNOWN"})},
    # Some begin like a record of a registry.
    "garbage": {"REJECTED": frozenset({"DECODE_FAILED", "UNKNOWN_SCHEMA"})},
    "note": {"IGNORED": frozenset({"INTERNAL_NOTE"})},
}

DECIDED = frozenset({"ACCEPTED", "DEGRADED"})
