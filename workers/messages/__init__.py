"""Messages to the owners of accounts: kept with what they tell of, written in the reader's language, sent by e-mail."""
