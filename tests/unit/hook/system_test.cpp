// What the hook reads from the kernel: bounded, and never anything that could hold it up.
#include "hook/system.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace vnvme::hook {
namespace {

using State = Text::State;

class System : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/vnvme-hook-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::string put(const std::string& name, const std::string& text) {
    std::ofstream(folder + "/" + name, std::ios::binary) << text;
    return folder + "/" + name;
  }
  std::string folder;
};

TEST_F(System, FilesAreReadUpToTheLimit) {
  auto path = put("f", std::string(100000, 'x'));
  EXPECT_EQ(read_file(path, 100000).content.size(), 100000u);
  EXPECT_EQ(read_file(path, 99999).state, State::unusable);
  EXPECT_NE(read_file(path, 99999).problem.find("larger"), std::string::npos);
  EXPECT_EQ(read_file(put("empty", ""), 10).state, State::whole);
  EXPECT_EQ(read_file(folder + "/none", 10).state, State::absent);
  EXPECT_EQ(read_file(path + "/below", 10).state, State::absent);
}

TEST_F(System, WhatIsNoRegularFileIsNotRead) {
  ASSERT_EQ(mkfifo((folder + "/fifo").c_str(), 0600), 0);
  ASSERT_EQ(symlink("/dev/zero", (folder + "/zero").c_str()), 0);
  ASSERT_EQ(symlink("loop", (folder + "/loop").c_str()), 0);
  for (const char* name : {"/fifo", "/zero", "/loop", "", "/fifo/"})
    EXPECT_NE(read_file(folder + name, 10).state, State::whole) << name;
  EXPECT_NE(read_file("/dev/zero", 10).state, State::whole);
}

TEST_F(System, FoldersAreListedUpToTheLimit) {
  for (int i = 0; i < 5; ++i) put("pci." + std::to_string(i), "");
  auto all = list_folder(folder, 5);
  EXPECT_EQ(all.state, State::whole);
  EXPECT_EQ(all.names.size(), 5u);
  EXPECT_EQ(list_folder(folder, 4).state, State::unusable);
  EXPECT_TRUE(list_folder(folder, 4).names.empty());
  EXPECT_EQ(list_folder(folder + "/none", 4).state, State::absent);
  EXPECT_EQ(list_folder(folder + "/pci.0", 4).state, State::unusable);
  EXPECT_TRUE(is_there(folder + "/pci.0"));
  EXPECT_FALSE(is_there(folder + "/pci.9"));
}

TEST_F(System, TheLogIsADatagramAndNeverWaits) {
  const std::string path = folder + "/log";
  log_line(path, Severity::notice, "nobody listens");
  log_line(std::string(500, 'x'), Severity::notice, "no such path");
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  sockaddr_un at{};
  at.sun_family = AF_UNIX;
  path.copy(at.sun_path, sizeof at.sun_path - 1);
  ASSERT_EQ(bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  log_line(path, Severity::warning, "VM x was not started" + std::string(5000, '.'));
  char got[8192];
  auto n = recv(fd, got, sizeof got, 0);
  ASSERT_GT(n, 0);
  std::string line(got, static_cast<std::size_t>(n));
  EXPECT_TRUE(line.starts_with("<28>vnvme-vm-pre-start[" + std::to_string(getpid()) + "]: VM x was not"))
      << line;
  EXPECT_LE(line.size(), 1024u);
  // Nobody reads any more: what does not fit is lost.
  for (int i = 0; i < 5000; ++i) log_line(path, Severity::info, "again");
  close(fd);
}

}  // namespace
}  // namespace vnvme::hook
