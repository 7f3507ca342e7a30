#include "xapi/http.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "core/text.hpp"

namespace vnvme::xapi {
namespace {
namespace http = boost::beast::http;
}

std::string post_request(std::string_view path, std::string_view body) {
  std::string out;
  out.reserve(body.size() + 256);
  out.append("POST ").append(path).append(" HTTP/1.1\r\n");
  out.append("Host: localhost\r\nUser-Agent: vnvmed\r\nAccept: application/json\r\n");
  out.append("Content-Type: application/json\r\nConnection: close\r\nContent-Length: ");
  out.append(std::to_string(body.size())).append("\r\n\r\n").append(body);
  return out;
}

struct ResponseReader::Parser {
  http::response_parser<http::string_body> parser;
  std::string pending;  // bytes that the parser wants to see again with more behind them
};

ResponseReader::ResponseReader(Limits limits) : parser_(std::make_unique<Parser>()) {
  parser_->parser.header_limit(static_cast<std::uint32_t>(limits.header));
  parser_->parser.body_limit(limits.body);
  parser_->parser.eager(true);
}
ResponseReader::~ResponseReader() = default;

Result<void> ResponseReader::feed(std::string_view bytes) {
  auto& pending = parser_->pending;
  pending.append(bytes);
  while (!pending.empty() && !parser_->parser.is_done()) {
    boost::system::error_code why;
    auto used = parser_->parser.put(boost::asio::buffer(pending), why);
    pending.erase(0, used);
    if (why == http::error::need_more) return {};
    if (why) return fail(Errc::protocol, "not an HTTP answer: " + why.message(), Outcome::unknown);
    if (used == 0) return {};
  }
  // One request was sent: a second answer belongs to nobody.
  if (parser_->parser.is_done() && !pending.empty())
    return fail(Errc::protocol, "bytes behind the end of the HTTP answer", Outcome::unknown);
  return {};
}

Result<void> ResponseReader::end() {
  if (parser_->parser.is_done()) return {};
  boost::system::error_code why;
  if (parser_->parser.got_some()) parser_->parser.put_eof(why);
  if (parser_->parser.is_done() && !why) return {};
  return fail(Errc::unreachable, "the connection closed before the whole answer came", Outcome::unknown);
}

bool ResponseReader::done() const {
  return parser_->parser.is_done();
}
int ResponseReader::status() const {
  return static_cast<int>(parser_->parser.get().result_int());
}
std::string ResponseReader::take_body() {
  return std::move(parser_->parser.get().body());
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
