// What the rim needs of a transport. Tests put an in-memory pair or a scripted
// dialogue behind it.
#pragma once
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "vnvme/result.hpp"
#include "vnvme/time.hpp"

namespace vnvme::rpc {

class Stream {
 public:
  virtual ~Stream() = default;
  // Asked before each time that requests are staged for writing. A transport that connects for each request
  // (HTTP) does it here: what fails now was never sent. Has a deadline of its own.
  virtual Task<Result<void>> ready();
  // After ready(), when there is nothing to be written after all.
  virtual void idle() {}
  // At least one byte, or an error; the end of the stream is Errc::unreachable. These two have no deadline of
  // their own: an idle session is legal. Every request has one, and close() ends both at once.
  virtual Task<Result<std::size_t>> read_some(std::span<char> into) = 0;
  virtual Task<Result<std::size_t>> write_some(std::string_view bytes) = 0;
  // Idempotent; what is being awaited ends with Errc::cancelled.
  virtual void close() = 0;
};

class Connector {
 public:
  virtual ~Connector() = default;
  virtual Task<Result<std::unique_ptr<Stream>>> connect(Deadline deadline) = 0;
  // "unix:/path" or "tcp:127.0.0.1:5260"
  [[nodiscard]] virtual const std::string& endpoint() const = 0;
};

// "unix:/path", "tcp:IPV4:PORT", "tcp:[IPV6]:PORT". Numeric addresses only: a static program must not use the
// resolver. Errc::invalid_argument for anything else.
Result<std::unique_ptr<Connector>> make_connector(boost::asio::io_context& io, const std::string& uri);

}  // namespace vnvme::rpc
