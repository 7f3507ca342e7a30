// One connection to xenstored: requests one after the other, and the events of
// its watches. Own code, because Xen's library blocks. Protocol:
// xen/include/public/io/xs_wire.h, docs/misc/xenstore.txt. After an error the
// connection is of no use any more: a frame may have been cut.
#pragma once
#include <boost/asio/local/stream_protocol.hpp>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "vnvme/result.hpp"
#include "vnvme/time.hpp"

namespace vnvme::host {

class XenstoreConnection {
 public:
  explicit XenstoreConnection(const boost::asio::any_io_executor& executor) : socket_(executor) {}

  Task<Result<void>> open(std::string socket_path, Deadline);
  // Transaction 0: none. Absence is a positive answer (ENOENT).
  Task<Result<std::optional<std::string>>> read(std::uint32_t transaction, std::string path, Deadline);
  Task<Result<std::vector<std::string>>> list(std::string path, Deadline);
  // Makes the path, and all above it, when it is not there: inside a transaction that read it, or not at all.
  Task<Result<void>> write(std::uint32_t transaction, std::string path, std::string value, Deadline);
  Task<Result<std::uint32_t>> begin(Deadline);
  // False: something that was read has changed meanwhile, and nothing was written (EAGAIN).
  Task<Result<bool>> end(std::uint32_t transaction, bool keep, Deadline);
  // One event comes at once, then one for each change below the path.
  Task<Result<void>> watch(std::string path, Deadline);
  // The path that changed.
  Task<Result<std::string>> event(Deadline);
  void close();

 private:
  struct Frame {
    std::uint32_t type = 0;
    std::string body;
  };
  Task<Result<Frame>> receive();
  // The answer's body; nothing for ENOENT, other errors as Errc::io with xenstored's word in `text`.
  Task<Result<std::optional<std::string>>> exchange(std::uint32_t type, std::uint32_t transaction,
                                                    std::string payload);
  Task<Result<std::optional<std::string>>> ask(std::uint32_t type, std::uint32_t transaction,
                                               std::string payload, std::string what, Deadline);
  Task<Result<std::string>> next_event();

  boost::asio::local::stream_protocol::socket socket_;
  std::deque<std::string> events_;
};

}  // namespace vnvme::host
