// Which implementation serves a DPU's address. The scheme names the family:
//   unix:/path, tcp:IPV4:PORT, tcp:[IPV6]:PORT   an SPDK target (with SNAP-4 functions where it has them)
//   kalray:IPV4:PORT, kalray:[IPV6]:PORT         a Kalray K200LP: JSON-RPC over HTTP, functions by name
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vnvme/dpu.hpp"
#include "vnvme/result.hpp"

namespace boost::asio {
class io_context;
}

namespace vnvme::dpu {

struct Options {
  std::string uri = {};
  // Of each new lvol, applied when it is deleted: "unmap", "write_zeroes", "none"; empty: the target's
  // default.
  std::string clear_method = {};
  // Where functions listen that are NVMe-oF subsystems: "tcp:127.0.0.1:4420"; empty: nowhere.
  std::string listener = {};
  // kalray: path of the file with user and password, which only root may read.
  std::string credentials = {};
  // kalray: the card's own configuration as the host sees it: name of the volume that is bound to a function,
  // and that function's PCI address 0000:BB:DD.F. Empty: the names of a K200LP, addresses unknown.
  std::vector<std::pair<std::string, std::string>> functions = {};
  // Pauses between attempts to connect.
  MonoClock::duration retry_first = std::chrono::milliseconds(50);
  MonoClock::duration retry_most = std::chrono::seconds(5);
};

// Connects by itself, and again whenever the connection is lost; use wait_generation(). The io_context
// outlives the result. To end: shutdown(), let every call in flight end (they fail with `cancelled` at the
// next turn of the io_context), then destroy it. Errc::invalid_argument: no such scheme or option.
Result<std::unique_ptr<Dpu>> make_dpu(boost::asio::io_context& io, const Options& options);

}  // namespace vnvme::dpu
