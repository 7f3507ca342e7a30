// One HTTP answer, out of bytes as they come. Pure: no socket, no clock.
// HTTP/1.0 and 1.1; the body ends by its length, by its last chunk, or with the
// connection. And what such an answer means to a client of JSON-RPC.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "rpc/scan.hpp"
#include "vnvme/result.hpp"

namespace vnvme::rpc {

class ResponseReader {
 public:
  struct Limits {
    std::size_t header = 16u << 10;
    std::size_t body = 256u << 20;  // event.from of a XAPI pool of 10,000 VDIs is some tens of MiB
  };
  explicit ResponseReader(Limits limits);
  ~ResponseReader();
  ResponseReader(const ResponseReader&) = delete;
  ResponseReader& operator=(const ResponseReader&) = delete;

  // An error is final: what follows cannot be understood.
  Result<void> feed(std::string_view bytes);
  // The peer closed; an error when the answer is not whole.
  Result<void> end();
  [[nodiscard]] bool done() const;
  [[nodiscard]] int status() const;
  // Once, after done().
  std::string take_body();

 private:
  struct Parser;  // Boost.Beast, known to http.cpp alone
  std::unique_ptr<Parser> parser_;
};

// What stands before the body of a POST of JSON-RPC, up to the end of the header. `authorization` is a header
// line of its own and is sent by whoever holds the secret, before this.
std::string post_line(std::string_view host);
std::string post_header(std::size_t body_bytes);

// The one frame that the answer to one request carries, at least as far as its brackets go. Whoever gets an
// error here must not assume that nothing happened, except after 401: the card says that much before it looks
// at the request (rpc_http_proxy.py).
Result<std::string> frame_of(ResponseReader& reader, const ScanLimits& limits);

}  // namespace vnvme::rpc
