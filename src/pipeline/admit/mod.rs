//! Who may ask a model next: token buckets and fairness.
