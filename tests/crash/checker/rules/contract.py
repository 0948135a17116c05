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

DECIDED = frozenset({"ACCEPTED", "DEGRADED"})
