#include "xapi/http.hpp"

#include "core/text.hpp"

namespace vnvme::xapi {

std::string post_request(std::string_view path, std::string_view body) {
  std::string out;
  out.reserve(body.size() + 256);
  out.append("POST ").append(path).append(" HTTP/1.1\r\n");
  out.append("Host: localhost\r\nUser-Agent: vnvmed\r\nAccept: application/json\r\n");
  out.append("Content-Type: application/json\r\nConnection: close\r\nContent-Length: ");
  out.append(std::to_string(body.size())).append("\r\n\r\n").append(body);
  return out;
}

Result<std::string> body_of(ResponseReader& reader) {
  if (!reader.done()) return fail(Errc::internal, "an HTTP answer was read too early", Outcome::unknown);
  auto status = reader.status();
  auto body = reader.take_body();
  if (status == 200) return body;
  auto outcome = status >= 400 && status < 500 ? Outcome::not_done : Outcome::unknown;
  return fail(Error{.code = Errc::protocol,
                    .outcome = outcome,
                    .text = "HTTP status " + std::to_string(status) + ": " + printable(body, 256),
                    .native = status});
}

}  // namespace vnvme::xapi
