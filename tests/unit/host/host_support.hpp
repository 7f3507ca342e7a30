// What the tests of the host ports share: a folder tree, coroutines run to their end.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "vnvme/result.hpp"
#include "vnvme/time.hpp"

namespace vnvme::host {

using namespace std::chrono_literals;

class Tree {
 public:
  Tree() {
    std::string pattern = "/tmp/vnvme-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;
  ~Tree() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }
  void folder(const std::string& name) const { std::filesystem::create_directories(path_ + "/" + name); }
  void file(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path_ + "/" + name).parent_path());
    std::ofstream(path_ + "/" + name, std::ios::trunc) << text;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ifstream in(path_ + "/" + name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void link(const std::string& target, const std::string& name) const {
    std::filesystem::create_directories(std::filesystem::path(path_ + "/" + name).parent_path());
    std::filesystem::remove(path_ + "/" + name);
    std::filesystem::create_symlink(target, path_ + "/" + name);
  }
  [[nodiscard]] bool has(const std::string& name) const {
    return std::filesystem::exists(std::filesystem::symlink_status(path_ + "/" + name));
  }

 private:
  std::string path_;
};

inline Deadline soon() {
  return Deadline::after(20s);
}
inline Deadline at_once() {
  return Deadline::after(30ms);
}

template <class T>
Result<T> run_task(boost::asio::io_context& io, Task<Result<T>> task) {
  std::optional<Result<T>> answer;
  boost::asio::co_spawn(io, std::move(task), [&answer](const std::exception_ptr& thrown, Result<T> result) {
    EXPECT_FALSE(thrown);
    answer = std::move(result);
  });
  io.restart();
  io.run();
  EXPECT_TRUE(answer.has_value()) << "the coroutine did not finish";
  if (!answer) return fail(Errc::internal, "did not finish");
  return std::move(*answer);
}

inline const std::string kBdf = "0000:3b:00.2";
inline const std::string kUuid = "6c84b44c-a61b-41a4-8b19-32ab643b57d9";

}  // namespace vnvme::host
