"""The gateways that there are, each in a package of its own; nothing else imports their SDKs."""
