//! Every millisecond is billed once, whatever is retried, cut or raced.
