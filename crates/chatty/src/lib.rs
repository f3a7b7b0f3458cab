//! The chatty child: writes what a script tells it to, and knows nothing of who captures it.
