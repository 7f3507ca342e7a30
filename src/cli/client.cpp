#include "cli/client.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/json.hpp"

namespace vnvme::cli {
namespace {

constexpr std::size_t kAnswerLimit = 256u << 20;
constexpr JsonLimits kLimits{kAnswerLimit, 32, 16u << 20, 1u << 20};
constexpr std::chrono::seconds kSendLimit{10};

Errc code_named(const std::string& name) {
  for (int i = 0; i <= static_cast<int>(Errc::internal); ++i)
    if (to_string(static_cast<Errc>(i)) == name) return static_cast<Errc>(i);
  return Errc::internal;
}

// Poll until ready; false at the end of the time.
bool wait_for(int fd, short what, std::chrono::steady_clock::time_point until, bool for_ever) {
  while (true) {
    auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now())
            .count();
    if (!for_ever && left <= 0) return false;
    pollfd p{fd, what, 0};
    int n = ::poll(&p, 1, for_ever ? -1 : static_cast<int>(std::min<long long>(left, 60000)));
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return true;  // the next call on fd tells
  }
}

}  // namespace

Client::~Client() {
  if (fd_ >= 0) ::close(fd_);
}

tl::unexpected<Error> Client::unreachable(const std::string& what) const {
  return fail(Errc::unreachable, "vnvmed " + what + " (" + path_ + ")");
}

Result<void> Client::connect() {
  if (fd_ >= 0) return {};
  sockaddr_un address{};
  if (path_.empty() || path_.size() >= sizeof address.sun_path)
    return fail(Errc::invalid_argument, "'" + path_ + "' cannot be the path of a socket");
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.c_str(), path_.size());
  fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) return fail(Errc::io, std::string("cannot open a socket: ") + std::strerror(errno));
  // EAGAIN: the daemon's queue is full; it may be busy with an accept just now
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EAGAIN && std::chrono::steady_clock::now() < until) {
      ::poll(nullptr, 0, 50);
      continue;
    }
    int error = errno;
    ::close(fd_);
    fd_ = -1;
    if (error == EACCES)
      return fail(Errc::not_permitted, "no permission for " + path_ + ": run vnvme as root");
    return unreachable(std::string("is not reachable: ") + std::strerror(error));
  }
  return {};
}

Result<void> Client::send(const std::string& verb, const Json& args) {
  VNVME_TRY(connect());
  std::string line = dump_json({{"verb", verb}, {"args", args}}) + "\n";
  auto until = std::chrono::steady_clock::now() + kSendLimit;
  std::size_t sent = 0;
  while (sent < line.size()) {
    ssize_t n = ::send(fd_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
    } else if (n < 0 && errno == EAGAIN) {
      if (!wait_for(fd_, POLLOUT, until, false)) return unreachable("takes no requests");
    } else if (n < 0 && errno != EINTR) {
      break;  // it may have said why before it closed: read that
    }
  }
  return {};
}

Result<std::string> Client::read_line(std::chrono::milliseconds limit) {
  auto until = std::chrono::steady_clock::now() + limit;
  std::size_t searched = 0;
  char chunk[65536];
  while (true) {
    auto end = buffer_.find('\n', searched);
    if (end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    searched = buffer_.size();
    if (buffer_.size() > kAnswerLimit) return fail(Errc::protocol, "vnvmed's answer is longer than 256 MiB");
    ssize_t n = ::recv(fd_, chunk, sizeof chunk, 0);
    if (n > 0) {
      buffer_.append(chunk, static_cast<std::size_t>(n));
    } else if (n == 0) {
      return unreachable("closed the connection without an answer");
    } else if (errno == EAGAIN) {
      if (!wait_for(fd_, POLLIN, until, limit.count() == 0)) return unreachable("does not answer in time");
    } else if (errno != EINTR) {
      return unreachable(std::string("was lost: ") + std::strerror(errno));
    }
  }
}

Result<Json> Client::take_answer(std::chrono::milliseconds limit) {
  auto line = read_line(limit);
  if (!line) return fail(line.error());
  auto answer = parse_json(*line, kLimits);
  if (!answer) return fail(Errc::protocol, "vnvmed's answer cannot be understood: " + answer.error().text);
  if (const Json* error = member(*answer, "error")) {
    return fail(code_named(text_of(*error, "code").value_or("")),
                text_of(*error, "text").value_or("vnvmed refused without a reason"));
  }
  auto result = answer->is_object() ? answer->find("result") : answer->end();
  if (!answer->is_object() || result == answer->end())
    return fail(Errc::protocol, "vnvmed's answer has neither a result nor an error");
  return *result;
}

Result<Json> Client::ask(const std::string& verb, const Json& args, std::chrono::seconds limit) {
  VNVME_TRY(send(verb, args));
  return take_answer(limit);
}

Result<void> Client::follow(const std::string& verb, const Json& args,
                            const std::function<bool(const Json&)>& each) {
  VNVME_TRY(send(verb, args));
  while (true) {
    auto answer = take_answer(std::chrono::milliseconds(0));
    if (!answer) return fail(answer.error());
    if (!each(*answer)) return {};
  }
}

}  // namespace vnvme::cli
