// Where the tests find a DPU: the endpoint that the environment names, else a
// simulator of their own. Only this file knows which of the two it is.
//   VNVME_TEST_DPU=unix:/path | tcp:ip:port   an SPDK target that runs already
//   VNVME_TEST_BDEV=NAME                      a bdev of it that may be overwritten
//   VNVME_TEST_SIM="--profile v23.01 ..."     further options for the simulator
#pragma once
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/text.hpp"

namespace vnvme::test {

class Endpoint {
 public:
  Endpoint() {
    const char* given = getenv("VNVME_TEST_DPU");
    const char* bdev = getenv("VNVME_TEST_BDEV");
    if (given != nullptr && bdev != nullptr) {
      uri_ = given;
      drive_ = bdev;
      return;
    }
    char name[] = "/tmp/vnvme-dpu-XXXXXX";
    if (mkdtemp(name) == nullptr) return;
    dir_ = name;
    uri_ = "unix:" + dir_ + "/s";
    drive_ = "Test0";
    start();
  }
  ~Endpoint() {
    stop();
    if (!dir_.empty()) {
      std::error_code ignored;
      std::filesystem::remove_all(dir_, ignored);
    }
  }
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  [[nodiscard]] const std::string& uri() const { return uri_; }
  [[nodiscard]] const std::string& drive() const { return drive_; }
  // Is it ours, to be killed and started again?
  [[nodiscard]] bool own() const { return !dir_.empty(); }

  void start() {
    std::vector<std::string> args{std::string(VNVME_BIN) + "/vnvme-dpusim",
                                  "--state",
                                  dir_ + "/state",
                                  "--listen",
                                  uri_,
                                  "--drive",
                                  "name=Test0,size=4GiB"};
    const char* more = getenv("VNVME_TEST_SIM");
    auto extra = more != nullptr ? std::string(more) : std::string("--snap off");
    for (auto& word : split(extra, ' ')) args.push_back(word);
    // A pipe tells when it listens: no waiting for time to pass.
    int ready[2];
    if (pipe(ready) != 0) return;
    args.push_back("--ready-fd");
    args.push_back(std::to_string(ready[1]));
    std::vector<char*> argv;
    for (auto& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      close(ready[0]);
      freopen("/dev/null", "w", stdout);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(ready[1]);
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1) << "the simulator did not start";
    close(ready[0]);
  }
  void stop() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  // Has it ended by itself (a fault killed it)? Then it is reaped.
  bool died() {
    if (pid_ <= 0 || waitpid(pid_, nullptr, WNOHANG) != pid_) return false;
    pid_ = -1;
    return true;
  }

 private:
  std::string uri_, drive_, dir_;
  pid_t pid_ = -1;
};

}  // namespace vnvme::test
