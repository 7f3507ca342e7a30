// Where the tests find a DPU: the endpoint that the environment names, else a
// simulator of their own. Only this file knows which of the two it is.
//   VNVME_TEST_DPU=unix:/path | tcp:ip:port | kalray:ip:port   a target that runs already
//   VNVME_TEST_BDEV=NAME                      a bdev of it that may be overwritten
//   VNVME_TEST_CREDENTIALS=/path              kalray: the file with user:password
//   VNVME_TEST_FUNCTIONS=NAME=BDF,...         kalray: its functions, as in vnvmed.json
//   VNVME_TEST_SIM="--profile v23.01 ..."     further options for the simulator
#pragma once
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/text.hpp"
#include "dpu/registry.hpp"

namespace vnvme::test {

class Endpoint {
 public:
  Endpoint() {
    const char* given = getenv("VNVME_TEST_DPU");
    const char* bdev = getenv("VNVME_TEST_BDEV");
    if (given != nullptr && bdev != nullptr) {
      options_.uri = given;
      options_.credentials = word("VNVME_TEST_CREDENTIALS", "");
      read_functions(word("VNVME_TEST_FUNCTIONS", ""));
      drive_ = bdev;
      return;
    }
    char name[] = "/tmp/vnvme-dpu-XXXXXX";
    if (mkdtemp(name) == nullptr) return;
    dir_ = name;
    options_.uri = "unix:" + socket();
    drive_ = "Test0";
    if (extra().find("kalray") != std::string::npos) {
      options_.credentials = dir_ + "/credentials";
      std::ofstream(options_.credentials) << "admin:contract test\n";
      chmod(options_.credentials.c_str(), 0600);
      read_functions(
          "volume_09=0000:04:00.2,volume_10=0000:04:00.3,volume_11=0000:04:00.4,volume_12=0000:04:00.5");
    }
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
  // What make_dpu() wants to know.
  [[nodiscard]] const dpu::Options& options() const { return options_; }
  [[nodiscard]] const std::string& drive() const { return drive_; }
  // Is it ours, to be killed and started again?
  [[nodiscard]] bool own() const { return !dir_.empty(); }
  // Of a simulator of ours: takes control calls, whatever the tests' own transport is.
  [[nodiscard]] std::string socket() const { return dir_ + "/s"; }

  void start() {
    std::vector<std::string> args{std::string(VNVME_BIN) + "/vnvme-dpusim",
                                  "--state",
                                  dir_ + "/state",
                                  "--listen",
                                  "unix:" + socket(),
                                  "--drive",
                                  "name=Test0,size=4GiB"};
    for (auto& one : split(extra(), ' ')) args.push_back(one);
    bool http = !options_.credentials.empty();
    if (http) {
      args.insert(args.end(), {"--http", port_.empty() ? "127.0.0.1:0" : "127.0.0.1:" + port_});
      args.insert(args.end(), {"--auth-file", options_.credentials});
    }
    // A pipe tells when it listens: no waiting for time to pass.
    int ready[2];
    if (pipe(ready) != 0) return;
    args.push_back("--ready-fd");
    args.push_back(std::to_string(ready[1]));
    std::vector<char*> argv;
    for (auto& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    auto said = dir_ + "/said";
    pid_ = fork();
    if (pid_ == 0) {
      close(ready[0]);
      freopen(said.c_str(), "w", stdout);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(ready[1]);
    char byte = 0;
    EXPECT_EQ(read(ready[0], &byte, 1), 1) << "the simulator did not start";
    close(ready[0]);
    if (http) read_port(said);
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
  static std::string word(const char* name, const char* otherwise) {
    const char* given = getenv(name);
    return given != nullptr ? given : otherwise;
  }
  static std::string extra() { return word("VNVME_TEST_SIM", "--snap off"); }
  void read_functions(const std::string& text) {
    for (const auto& part : split(text, ','))
      if (auto equals = part.find('='); equals != std::string::npos)
        options_.functions.emplace_back(part.substr(0, equals), part.substr(equals + 1));
  }
  // "ready unix:/... http://127.0.0.1:PORT"; after a restart it is the same one.
  void read_port(const std::string& said) {
    std::ifstream file(said);
    std::string line;
    std::getline(file, line);
    auto colon = line.rfind(':');
    if (line.find("http://") == std::string::npos) ADD_FAILURE() << "no HTTP address: " << line;
    port_ = line.substr(colon + 1);
    options_.uri = "kalray:127.0.0.1:" + port_;
  }

  dpu::Options options_;
  std::string drive_, dir_, port_;
  pid_t pid_ = -1;
};

}  // namespace vnvme::test
