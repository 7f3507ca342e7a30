// The daemon's life: command line, configuration, locks and sockets, ready,
// signals, and an end that leaves no answer half printed.
#pragma once
#include "daemon/backend.hpp"

namespace vnvme::daemon {

// What main() does. Exit codes: 0 ended on request, 1 could not start or had to give up, 2 wrong command
// line.
int run_daemon(int argc, char** argv, const MakeBackend& make_backend);

}  // namespace vnvme::daemon
