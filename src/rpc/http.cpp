#include "rpc/http.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "core/text.hpp"

namespace vnvme::rpc {
namespace {
namespace http = boost::beast::http;

bool space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

// One JSON object and nothing behind it: a second frame would be taken for the answer to the next request.
Result<void> check_one_object(std::string_view text, const ScanLimits& limits) {
  auto wrong = [](Errc code, const std::string& why) {
    return fail(code, "the HTTP answer is no JSON-RPC: " + why, Outcome::unknown);
  };
  if (text.front() != '{') return wrong(Errc::protocol, printable(text, 128));
  Brackets brackets(limits);
  for (std::size_t i = 0; i < text.size(); ++i) {
    i += brackets.skip_plain(text.substr(i));
    if (i == text.size()) break;
    auto step = brackets.step(text[i]);
    if (step == Brackets::Step::bad) return wrong(Errc::protocol, brackets.why());
    if (step != Brackets::Step::end) continue;
    if (i + 1 == text.size()) return {};
    return wrong(Errc::protocol, "more than one value: " + printable(text.substr(i + 1), 64));
  }
  return wrong(Errc::unreachable, "it ends in the middle, after " + std::to_string(text.size()) + " bytes");
}

Error status_error(int status, std::string_view body) {
  std::string said = "HTTP status " + std::to_string(status);
  if (status == 401 || status == 403)
    return Error{.code = Errc::not_permitted,
                 .outcome = Outcome::not_done,
                 .text = "user and password are refused (" + said + "); see the credentials file",
                 .native = status};
  if (!body.empty()) said += ": " + printable(body, 128);
  // rpc_http_proxy.py answers 500 to what is no JSON, and when the target's answer is none: nobody can tell
  // which of the two it was.
  return Error{.code = Errc::protocol, .outcome = Outcome::unknown, .text = said, .native = status};
}
}  // namespace

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
  for (std::size_t used = 1; used > 0 && !pending.empty() && !parser_->parser.is_done();) {
    boost::system::error_code why;
    used = parser_->parser.put(boost::asio::buffer(pending), why);
    pending.erase(0, used);
    if (why && why != http::error::need_more)
      return fail(Errc::protocol, "not an HTTP answer: " + why.message(), Outcome::unknown);
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
  if (!why && parser_->parser.is_done()) return {};
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

std::string post_line(std::string_view host) {
  return "POST / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n";
}

std::string post_header(std::size_t body_bytes) {
  return "Content-Type: application/json\r\nConnection: close\r\nContent-Length: " +
         std::to_string(body_bytes) + "\r\n\r\n";
}

Result<std::string> frame_of(ResponseReader& reader, const ScanLimits& limits) {
  if (!reader.done()) return fail(Errc::internal, "an HTTP answer was read too early", Outcome::unknown);
  auto status = reader.status();
  auto body = reader.take_body();
  if (status != 200) return fail(status_error(status, trimmed(body)));
  auto text = trimmed(body);
  // The proxy hangs up like that when the target behind it is down, before or after it acted.
  if (text.empty()) return fail(Errc::unreachable, "an empty HTTP answer", Outcome::unknown);
  if (text.size() > limits.frame_bytes)
    return fail(Errc::protocol,
                "an HTTP answer of more than " + std::to_string(limits.frame_bytes) + " bytes",
                Outcome::unknown);
  VNVME_TRY(check_one_object(text, limits));
  if (text.size() != body.size()) body = std::string(text);
  return body;
}

}  // namespace vnvme::rpc
