// The composition root: the only place that knows concrete classes.
#pragma once
#include "daemon/backend.hpp"

namespace vnvme::daemon {

// Opens the store (blocking: start-up), chooses host and domains as configured, puts the services on top.
Result<std::unique_ptr<Backend>> make_backend(boost::asio::io_context& io, const Config& config,
                                              EventLog& events);

}  // namespace vnvme::daemon
