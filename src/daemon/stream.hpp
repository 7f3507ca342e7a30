// One connection: bytes in, bytes out, each await with a deadline.
#pragma once
#include <boost/asio/local/stream_protocol.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "vnvme/result.hpp"
#include "vnvme/time.hpp"

namespace vnvme::daemon {

using Executor = boost::asio::any_io_executor;
using Socket = boost::asio::local::stream_protocol::socket;

class Stream {
 public:
  explicit Stream(Socket socket);

  // At least one byte and at most `most`. The peer closed: Errc::unreachable. Deadline: Errc::timeout.
  Task<Result<std::size_t>> read_some(char* into, std::size_t most, Deadline);
  Task<Result<void>> read_exact(char* into, std::size_t length, Deadline);
  // `data` must stay alive until it completes.
  Task<Result<void>> write_all(std::string_view data, Deadline);

  // The kernel's word about the process at the other end; nothing when it will not say.
  [[nodiscard]] std::optional<uid_t> peer_uid();
  // Has the peer closed its end? Never blocks; unread data counts as open.
  [[nodiscard]] bool peer_gone();
  // Every await in flight completes with an error. Idempotent.
  void close();

 private:
  Socket socket_;
  Timer timer_;
};

// Who may talk to the daemon: root, and the user it runs as.
using PeerPolicy = std::function<bool(uid_t)>;
bool root_or_self(uid_t uid);

}  // namespace vnvme::daemon
