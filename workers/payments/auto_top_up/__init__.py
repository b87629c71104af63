"""Automatic top-ups: packs that an account buys by itself when its balance falls, by what its owner let us charge."""
