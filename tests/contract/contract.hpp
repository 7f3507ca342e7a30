// One pool on the drive of the endpoint for each case, and a Dpu on it.
#pragma once
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>

#include "dpu/registry.hpp"
#include "support/endpoint.hpp"

namespace vnvme::contract {

using std::chrono::seconds;

class Contract : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (endpoint_ == nullptr) endpoint_ = std::make_unique<test::Endpoint>();
  }
  void SetUp() override;
  void TearDown() override;
  // A client of that endpoint, not connected yet; it asks store_ what it must remember.
  void make();
  // The pool that every case begins with, and what another one would be called.
  [[nodiscard]] std::string pool_name() const;
  [[nodiscard]] std::string other_pool_name() const;

  template <class T>
  Result<T> run(std::function<Task<Result<T>>()> make) {
    std::optional<Result<T>> out;
    boost::asio::co_spawn(io, make, [&out](std::exception_ptr error, Result<T> result) {
      if (error)
        out = fail(Errc::internal, "an exception left a coroutine");
      else
        out = std::move(result);
    });
    io.restart();
    while (!out && io.run_one_for(seconds(120)) > 0) {
    }
    EXPECT_TRUE(out) << "the call never ended";
    return out ? std::move(*out) : fail(Errc::internal, "the call never ended");
  }
  static Deadline soon() { return Deadline::after(seconds(60)); }

  // Ends the client, without cleaning up behind it.
  void leave();

  // Verbs with defaults.
  Result<DpuVolumeId> create(std::string name, Bytes size = MiB(8), bool thin = true);
  Result<DpuVolumeId> snapshot(DpuVolumeId of, std::string name);
  Result<DpuVolumeId> clone(DpuVolumeId of, std::string name);
  Result<void> remove(DpuVolumeId id);
  Result<void> resize(DpuVolumeId id, Bytes size);
  Result<void> shrink(DpuVolumeId id, Bytes size);
  Result<void> rename(DpuVolumeId id, std::string name);
  Result<void> inflate(DpuVolumeId id);
  Result<void> decouple(DpuVolumeId id);
  Result<std::optional<dpu::DpuVolume>> find(std::string name);
  Result<std::optional<dpu::DpuVolume>> find(DpuVolumeId id);
  Result<std::vector<dpu::DpuVolume>> volumes();
  Result<std::vector<dpu::DpuVolume>> names();
  Result<std::vector<dpu::Pool>> pools();
  Result<PoolId> create_pool(std::string name, std::string drive);
  dpu::Pool pool();
  // Of a volume that must be there.
  dpu::DpuVolume get(DpuVolumeId id);
  Result<dpu::Function> open(std::string serial);
  Result<void> close(FunctionId id);
  Result<void> expose(FunctionId function, std::uint32_t nsid, std::string target, std::string uuid);
  Result<void> unexpose(FunctionId function, std::uint32_t nsid);
  Result<std::vector<dpu::Exposure>> exposures();
  Result<std::vector<dpu::Function>> functions();
  // A case about something that this target cannot do is skipped, by what it says itself.
  [[nodiscard]] const dpu::Capabilities& can() const { return dpu->capabilities(); }

  static std::unique_ptr<test::Endpoint> endpoint_;
  boost::asio::io_context io;
  std::unique_ptr<dpu::Dpu> dpu;
  PoolId pool_id;
  // What a store would have of these volumes: it outlives the client, as a real one does.
  static std::map<DpuVolumeId, std::string> store_;

 private:
  void clean();
};

}  // namespace vnvme::contract
