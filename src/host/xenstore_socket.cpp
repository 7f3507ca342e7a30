#include "host/xenstore_socket.hpp"

#include <boost/asio/this_coro.hpp>

#include "host/xenstore_connection.hpp"

namespace vnvme::host {

// A connection a question: a question is rare, and nothing of an abandoned one can reach the next.

Task<Result<std::optional<std::string>>> XenstoreSocket::read(std::string path, Deadline deadline) {
  XenstoreConnection connection(co_await boost::asio::this_coro::executor);
  auto open = co_await connection.open(path_, deadline);
  if (!open) co_return fail(std::move(open.error()));
  auto answer = co_await connection.read(0, std::move(path), deadline);
  if (!answer) answer.error().outcome = Outcome::not_done;  // a read does nothing
  co_return answer;
}

Task<Result<std::vector<std::string>>> XenstoreSocket::list(std::string path, Deadline deadline) {
  XenstoreConnection connection(co_await boost::asio::this_coro::executor);
  auto open = co_await connection.open(path_, deadline);
  if (!open) co_return fail(std::move(open.error()));
  auto answer = co_await connection.list(std::move(path), deadline);
  if (!answer) answer.error().outcome = Outcome::not_done;
  co_return answer;
}

}  // namespace vnvme::host
