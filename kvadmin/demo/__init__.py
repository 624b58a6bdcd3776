"""What `make demo` sets up around the emulator: processes, people, policies, and some use of it all."""
