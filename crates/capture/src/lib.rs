//! Capture a child's output without a hang, a loss or harm; and the hazards, kept as specimens.
