#include "host/xenstore_connection.hpp"

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <charconv>

#include "core/text.hpp"
#include "host/with_deadline.hpp"

namespace vnvme::host {
namespace {

constexpr auto kToken = boost::asio::as_tuple(boost::asio::use_awaitable);
enum : std::uint32_t {
  kDirectory = 1,
  kRead = 2,
  kWatch = 4,
  kTransactionStart = 6,
  kTransactionEnd = 7,
  kWrite = 11,
  kWatchEvent = 15,
  kError = 16
};
constexpr std::uint32_t kPayloadMost = 4096;  // XENSTORE_PAYLOAD_MAX
constexpr std::size_t kPathMost = 3072;       // XENSTORE_ABS_PATH_MAX
constexpr std::size_t kEventsMost = 1u << 16;

struct Header {
  std::uint32_t type, request, transaction, length;
};
static_assert(sizeof(Header) == 16);

tl::unexpected<Error> lost(const std::string& what) {
  return fail(Error{Errc::unreachable, Outcome::unknown, "xenstore: " + what, "xenstore", {}});
}

// What stands before the first zero: an error's name ends with one, and an event has its token behind it.
std::string until_zero(const std::string& body) {
  return body.substr(0, body.find('\0'));
}

std::string zero_ended(std::string text) {
  text.push_back('\0');
  return text;
}

Task<Result<void>> connect(boost::asio::local::stream_protocol::socket& socket, std::string path) {
  auto [refused] = co_await socket.async_connect(boost::asio::local::stream_protocol::endpoint(path), kToken);
  if (refused)
    co_return fail(Error{Errc::unreachable,
                         Outcome::not_done,
                         "xenstore: cannot connect to " + path + ": " + refused.message(),
                         "xenstore",
                         {}});
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> XenstoreConnection::open(std::string path, Deadline deadline) {
  // endpoint() throws when the path does not fit
  if (path.size() >= 108) co_return fail(Errc::invalid_argument, path + " is too long for a socket");
  auto work = connect(socket_, std::move(path));
  co_return co_await with_deadline(std::move(work), deadline, "xenstore");
}

Task<Result<XenstoreConnection::Frame>> XenstoreConnection::receive() {
  Header head{};
  auto [cut, got] =
      co_await boost::asio::async_read(socket_, boost::asio::buffer(&head, sizeof head), kToken);
  if (cut) co_return lost(cut.message());
  if (head.length > kPayloadMost)
    co_return fail(Errc::protocol, "xenstore: an answer of " + std::to_string(head.length) + " bytes");
  Frame frame{head.type, std::string(head.length, '\0')};
  auto [torn, read] = co_await boost::asio::async_read(socket_, boost::asio::buffer(frame.body), kToken);
  if (torn) co_return lost(torn.message());
  co_return frame;
}

Task<Result<std::optional<std::string>>> XenstoreConnection::exchange(std::uint32_t type,
                                                                      std::uint32_t transaction,
                                                                      std::string payload) {
  Header question{type, 0, transaction, static_cast<std::uint32_t>(payload.size())};
  std::string out(reinterpret_cast<const char*>(&question), sizeof question);
  out += payload;
  auto [unsent, sent] = co_await boost::asio::async_write(socket_, boost::asio::buffer(out), kToken);
  if (unsent) co_return lost(unsent.message());
  while (true) {
    auto frame = co_await receive();
    if (!frame) co_return fail(std::move(frame.error()));
    if (frame->type == kWatchEvent) {
      if (events_.size() >= kEventsMost) co_return lost("too many events at once");
      events_.push_back(until_zero(frame->body));
      continue;
    }
    if (frame->type == type) co_return std::optional<std::string>(std::move(frame->body));
    if (frame->type != kError)
      co_return fail(Errc::protocol, "xenstore: an answer of type " + std::to_string(frame->type));
    std::string why = until_zero(frame->body);
    if (why == "ENOENT") co_return std::optional<std::string>{};
    co_return fail(Error{Errc::io, Outcome::not_done, printable(why, 60), "xenstore", {}});
  }
}

Task<Result<std::optional<std::string>>> XenstoreConnection::ask(std::uint32_t type,
                                                                 std::uint32_t transaction,
                                                                 std::string payload, std::string what,
                                                                 Deadline deadline) {
  bool legal = what.size() <= kPathMost && what.find('\0') == std::string::npos;
  if (!legal || payload.size() > kPayloadMost)
    co_return fail(Errc::invalid_argument, "xenstore: a path or value that it cannot have");
  auto work = exchange(type, transaction, std::move(payload));
  auto answer = co_await with_deadline(std::move(work), deadline, "xenstore: " + what);
  if (!answer && answer.error().code == Errc::io)
    answer.error().text = "xenstore: " + what + ": " + answer.error().text;
  co_return answer;
}

Task<Result<std::optional<std::string>>> XenstoreConnection::read(std::uint32_t transaction, std::string path,
                                                                  Deadline deadline) {
  co_return co_await ask(kRead, transaction, zero_ended(path), path, deadline);
}

Task<Result<std::vector<std::string>>> XenstoreConnection::list(std::string path, Deadline deadline) {
  auto body = co_await ask(kDirectory, 0, zero_ended(path), path, deadline);
  if (!body) co_return fail(std::move(body.error()));
  std::vector<std::string> names;
  if (!*body || (*body)->empty()) co_return names;
  if ((*body)->back() != '\0') co_return fail(Errc::protocol, "xenstore: a list that does not end");
  (*body)->pop_back();
  co_return split(**body, '\0');
}

Task<Result<void>> XenstoreConnection::write(std::uint32_t transaction, std::string path, std::string value,
                                             Deadline deadline) {
  auto answer = co_await ask(kWrite, transaction, zero_ended(path) + value, path, deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  if (!*answer) co_return fail(Errc::io, "xenstore: " + path + ": cannot be written");
  co_return Result<void>{};
}

Task<Result<std::uint32_t>> XenstoreConnection::begin(Deadline deadline) {
  auto body = co_await ask(kTransactionStart, 0, std::string(1, '\0'), "transaction", deadline);
  if (!body) co_return fail(std::move(body.error()));
  std::string text = until_zero(body->value_or(std::string()));
  std::uint32_t id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id == 0)
    co_return fail(Errc::protocol, "xenstore: a transaction without a number");
  co_return id;
}

Task<Result<bool>> XenstoreConnection::end(std::uint32_t transaction, bool keep, Deadline deadline) {
  std::string word = keep ? "T" : "F";
  auto answer =
      co_await ask(kTransactionEnd, transaction, zero_ended(std::move(word)), "transaction", deadline);
  if (answer) co_return answer->has_value();
  if (answer.error().code == Errc::io && answer.error().text.ends_with("EAGAIN")) co_return false;
  co_return fail(std::move(answer.error()));
}

Task<Result<void>> XenstoreConnection::watch(std::string path, Deadline deadline) {
  auto answer = co_await ask(kWatch, 0, zero_ended(path) + zero_ended("vnvme"), path, deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  if (!*answer) co_return fail(Errc::io, "xenstore: " + path + ": cannot be watched");
  co_return Result<void>{};
}

Task<Result<std::string>> XenstoreConnection::next_event() {
  if (events_.empty()) {
    auto frame = co_await receive();
    if (!frame) co_return fail(std::move(frame.error()));
    if (frame->type != kWatchEvent)
      co_return fail(Errc::protocol, "xenstore: an answer that nobody asked for");
    co_return until_zero(frame->body);
  }
  std::string path = std::move(events_.front());
  events_.pop_front();
  co_return path;
}

Task<Result<std::string>> XenstoreConnection::event(Deadline deadline) {
  auto work = next_event();
  co_return co_await with_deadline(std::move(work), deadline, "xenstore: waiting for a change");
}

void XenstoreConnection::close() {
  boost::system::error_code ignored;
  (void)socket_.close(ignored);
}

}  // namespace vnvme::host
