// The other end of the admin socket: plain blocking calls with time limits.
#pragma once
#include <chrono>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "vnvme/result.hpp"

namespace vnvme::cli {

class Client {
 public:
  explicit Client(std::string socket_path) : path_(std::move(socket_path)) {}
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Connects when it is not connected. Errc::unreachable: no daemon there, or it does not answer.
  // Other errors are the daemon's own answer.
  Result<nlohmann::json> ask(const std::string& verb, const nlohmann::json& args, std::chrono::seconds limit);
  // For verbs that go on answering: each answer to `each` until it says false or the daemon ends.
  Result<void> follow(const std::string& verb, const nlohmann::json& args,
                      const std::function<bool(const nlohmann::json&)>& each);

 private:
  Result<void> connect();
  Result<void> send(const std::string& verb, const nlohmann::json& args);
  Result<std::string> read_line(std::chrono::milliseconds limit);  // zero: wait for ever
  Result<nlohmann::json> take_answer(std::chrono::milliseconds limit);
  tl::unexpected<Error> unreachable(const std::string& what) const;

  std::string path_;
  int fd_ = -1;
  std::string buffer_;
};

}  // namespace vnvme::cli
