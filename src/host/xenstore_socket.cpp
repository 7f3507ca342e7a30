#include "host/xenstore_socket.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cstring>

#include "core/text.hpp"
#include "host/with_deadline.hpp"

namespace vnvme::host {
namespace {

constexpr auto kToken = boost::asio::as_tuple(boost::asio::use_awaitable);
constexpr std::uint32_t kDirectory = 1, kRead = 2, kError = 16;
constexpr std::uint32_t kPayloadMost = 4096;  // XENSTORE_PAYLOAD_MAX
constexpr std::size_t kPathMost = 3072;       // XENSTORE_ABS_PATH_MAX

struct Header {
  std::uint32_t type, request, transaction, length;
};
static_assert(sizeof(Header) == 16);

tl::unexpected<Error> failed(const std::string& path, const std::string& what) {
  return fail(Error{Errc::unreachable, Outcome::not_done, "xenstore: " + path + ": " + what, "xenstore", {}});
}

// A connection a question: a question is rare, and nothing of an abandoned one can reach the next.
Task<Result<std::optional<std::string>>> ask(std::string socket_path, std::uint32_t type, std::string path) {
  using boost::asio::local::stream_protocol;
  stream_protocol::socket socket(co_await boost::asio::this_coro::executor);
  auto [refused] = co_await socket.async_connect(stream_protocol::endpoint(socket_path), kToken);
  if (refused) co_return failed(path, "cannot connect to " + socket_path + ": " + refused.message());
  Header question{type, 0, 0, static_cast<std::uint32_t>(path.size() + 1)};
  std::string out(reinterpret_cast<const char*>(&question), sizeof question);
  out.append(path).push_back('\0');
  auto [unsent, sent] = co_await boost::asio::async_write(socket, boost::asio::buffer(out), kToken);
  if (unsent) co_return failed(path, unsent.message());
  Header head{};
  auto [lost, got] =
      co_await boost::asio::async_read(socket, boost::asio::buffer(&head, sizeof head), kToken);
  if (lost) co_return failed(path, lost.message());
  if (head.length > kPayloadMost || (head.type != type && head.type != kError))
    co_return fail(Errc::protocol, "xenstore: " + path + ": an answer of type " + std::to_string(head.type) +
                                       " with " + std::to_string(head.length) + " bytes");
  std::string body(head.length, '\0');
  auto [cut, read] = co_await boost::asio::async_read(socket, boost::asio::buffer(body), kToken);
  if (cut) co_return failed(path, cut.message());
  if (head.type == type) co_return std::optional<std::string>(std::move(body));
  std::string why(body.c_str());
  if (why == "ENOENT") co_return std::optional<std::string>{};
  co_return fail(Errc::io, "xenstore: " + path + ": " + printable(why, 60));
}

Task<Result<std::optional<std::string>>> ask_in_time(std::string socket_path, std::uint32_t type,
                                                     std::string path, Deadline deadline) {
  if (path.size() > kPathMost || path.find('\0') != std::string::npos)
    co_return fail(Errc::invalid_argument, "xenstore: a path that it cannot have");
  // endpoint() throws when the path does not fit
  if (socket_path.size() >= 108)
    co_return fail(Errc::invalid_argument, socket_path + " is too long for a socket");
  std::string what = "xenstore: " + path;
  auto work = ask(std::move(socket_path), type, std::move(path));
  co_return co_await with_deadline(std::move(work), deadline, std::move(what));
}

}  // namespace

Task<Result<std::optional<std::string>>> XenstoreSocket::read(std::string path, Deadline deadline) {
  co_return co_await ask_in_time(path_, kRead, std::move(path), deadline);
}

Task<Result<std::vector<std::string>>> XenstoreSocket::list(std::string path, Deadline deadline) {
  auto body = co_await ask_in_time(path_, kDirectory, std::move(path), deadline);
  if (!body) co_return fail(std::move(body.error()));
  std::vector<std::string> names;
  if (!*body || (*body)->empty()) co_return names;
  if ((*body)->back() != '\0') co_return fail(Errc::protocol, "xenstore: a list that does not end");
  (*body)->pop_back();
  co_return split(**body, '\0');
}

}  // namespace vnvme::host
