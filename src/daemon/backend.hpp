// Everything behind the sockets: store, DPUs, host and services, as the
// daemon's life needs to see it. The real one is made in wiring.cpp; tests
// drive the same daemon with one of their own.
#pragma once
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "daemon/config.hpp"
#include "vnvme/admin.hpp"
#include "vnvme/events.hpp"
#include "vnvme/smapi.hpp"

namespace vnvme::daemon {

class Backend {
 public:
  virtual ~Backend() = default;
  // Completes when requests may be answered: the store is loaded. DPUs may come later.
  virtual Task<Result<void>> start() = 0;
  // Called when no request runs any more, or when the time for that is over: ends background work and DPU
  // sessions, then closes the store, durably. Ends by the deadline.
  virtual Task<void> stop(Deadline) = 0;
  virtual smapi::Handler& handler() = 0;
  virtual AdminHandler& admin() = 0;
};

using MakeBackend =
    std::function<Result<std::unique_ptr<Backend>>(boost::asio::io_context&, const Config&, EventLog&)>;

}  // namespace vnvme::daemon
