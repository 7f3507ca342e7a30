// A server on a socket in a temporary directory and clients that never block:
// one thread, a clock that stands still, so no test sleeps.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "core/log.hpp"
#include "daemon/process.hpp"
#include "fake_handler.hpp"

namespace vnvme::daemon {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/vnvme-test-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~TemporaryDirectory() { (void)!std::system(("rm -rf " + path_).c_str()); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

class Client {
 public:
  explicit Client(const std::string& path)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0)
        << std::strerror(errno);
  }
  // False when the server does not take it all now.
  bool send(std::string_view data) {
    return ::send(fd_.get(), data.data(), data.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(data.size());
  }
  // Everything that is there now.
  std::string take() {
    char chunk[65536];
    std::string all;
    ssize_t n = 0;
    while ((n = ::recv(fd_.get(), chunk, sizeof chunk, 0)) > 0)
      all.append(chunk, static_cast<std::size_t>(n));
    if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) closed_ = true;
    return all;
  }
  // Has the server closed it? Call take() before.
  [[nodiscard]] bool closed() const { return closed_; }
  void leave() { fd_ = Fd(); }

 private:
  Fd fd_;
  bool closed_ = false;
};

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() : handler(io.get_executor()) {
    MonoClock::take_over();
    log::set_level(log::Level::off);
  }
  ~ServerTest() override {
    MonoClock::release();
    log::set_level(log::Level::warning);
  }
  // Until nothing more happens by itself.
  void settle() {
    for (int i = 0; i < 3; ++i) {
      io.restart();
      while (io.poll() > 0) {
      }
    }
  }
  void advance(MonoClock::duration by) {
    MonoClock::advance(by);
    settle();
  }
  Fd listen() {
    auto fd = listen_unix(path());
    EXPECT_TRUE(fd.has_value()) << (fd ? "" : fd.error().text);
    return fd ? std::move(*fd) : Fd();
  }
  [[nodiscard]] std::string path() const { return directory.file("socket"); }

  TemporaryDirectory directory;
  boost::asio::io_context io{1};
  FakeHandler handler;
};

}  // namespace vnvme::daemon
