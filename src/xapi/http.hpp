// HTTP as XAPI's server speaks it: one POST, one answer, one connection. Pure.
// A connection of its own for each request costs one connect on a unix socket
// and leaves no doubt about what a closed one means: with keep-alive the server
// may close just when the next request is written.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "vnvme/result.hpp"

namespace vnvme::xapi {

std::string post_request(std::string_view path, std::string_view body);

class ResponseReader {
 public:
  struct Limits {
    std::size_t header = 16u << 10;
    std::size_t body = 256u << 20;  // event.from of a pool of 10,000 VDIs is some tens of MiB
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

// The body of a 200; else an error. XAPI answers 500 with a page of HTML when it could not understand the
// request, or when it broke in the middle of it: nobody knows then what it did.
Result<std::string> body_of(ResponseReader& reader);

}  // namespace vnvme::xapi
