#include "contract.hpp"

namespace vnvme::contract {
namespace {
const std::string kPoolName = "vnvme-contract";
}

std::unique_ptr<test::Endpoint> Contract::endpoint_;
std::map<DpuVolumeId, std::string> Contract::store_;

void Contract::SetUp() {
  make();
  ASSERT_TRUE(dpu);
  auto up = run<std::uint64_t>([this] { return dpu->wait_generation(0, soon()); });
  ASSERT_TRUE(up) << up.error().describe();
  clean();
  auto id = create_pool(pool_name(), endpoint_->drive());
  ASSERT_TRUE(id) << id.error().describe();
  pool_id = *id;
}

void Contract::make() {
  auto made = dpu::make_dpu(io, endpoint_->options());
  ASSERT_TRUE(made) << made.error().describe();
  dpu = std::move(*made);
  dpu->use_names([](const DpuVolumeId& id) -> std::optional<std::string> {
    auto known = store_.find(id);
    return known == store_.end() ? std::nullopt : std::optional(known->second);
  });
}

std::string Contract::pool_name() const {
  return can().pool_name.empty() ? kPoolName : can().pool_name;
}
std::string Contract::other_pool_name() const {
  return can().pool_name.empty() ? kPoolName + "2" : can().pool_name;
}

void Contract::TearDown() {
  if (!dpu) return;
  clean();
  leave();
}

void Contract::leave() {
  dpu->shutdown();
  io.restart();
  io.run_for(seconds(5));
  dpu.reset();
}

void Contract::clean() {
  auto shown = exposures();
  if (shown)
    for (const auto& e : *shown)
      if (!e.foreign) unexpose(e.function, e.nsid);
  auto all = functions();
  if (all)
    for (const auto& f : *all)
      if (!f.foreign && f.serial.starts_with("CT")) close(f.id);
  auto old = pools();
  if (!old) return;
  for (const auto& p : *old)
    if (p.name.starts_with(kPoolName) || (p.name == can().pool_name && p.drive == endpoint_->drive())) {
      auto gone = run<void>([this, &p] { return dpu->delete_pool(p.id, soon()); });
      EXPECT_TRUE(gone) << gone.error().describe();
    }
}

Result<DpuVolumeId> Contract::create(std::string name, Bytes size, bool thin) {
  dpu::CreateVolume want{pool_id, std::move(name), size, thin};
  auto made = run<DpuVolumeId>([this, want] { return dpu->create_volume(want, soon()); });
  if (made) store_[*made] = want.name;
  return made;
}
Result<DpuVolumeId> Contract::snapshot(DpuVolumeId of, std::string name) {
  auto made = run<DpuVolumeId>([=, this] { return dpu->snapshot_volume(of, name, soon()); });
  if (made) store_[*made] = name;
  return made;
}
Result<DpuVolumeId> Contract::clone(DpuVolumeId of, std::string name) {
  auto made = run<DpuVolumeId>([=, this] { return dpu->clone_volume(of, name, soon()); });
  if (made) store_[*made] = name;
  return made;
}
Result<void> Contract::remove(DpuVolumeId id) {
  return run<void>([=, this] { return dpu->delete_volume(id, soon()); });
}
Result<void> Contract::resize(DpuVolumeId id, Bytes size) {
  return run<void>([=, this] { return dpu->resize_volume(id, size, soon()); });
}
Result<void> Contract::shrink(DpuVolumeId id, Bytes size) {
  return run<void>([=, this] { return dpu->shrink_volume(id, size, soon()); });
}
Result<void> Contract::rename(DpuVolumeId id, std::string name) {
  auto done = run<void>([=, this] { return dpu->rename_volume(id, name, soon()); });
  if (done) store_[id] = name;
  return done;
}
Result<void> Contract::inflate(DpuVolumeId id) {
  return run<void>([=, this] { return dpu->inflate_volume(id, soon()); });
}
Result<void> Contract::decouple(DpuVolumeId id) {
  return run<void>([=, this] { return dpu->decouple_volume(id, soon()); });
}
Result<std::optional<dpu::DpuVolume>> Contract::find(std::string name) {
  return run<std::optional<dpu::DpuVolume>>([=, this] { return dpu->find_volume(pool_id, name, soon()); });
}
Result<std::optional<dpu::DpuVolume>> Contract::find(DpuVolumeId id) {
  return run<std::optional<dpu::DpuVolume>>([=, this] { return dpu->find_volume(id, soon()); });
}
Result<std::vector<dpu::DpuVolume>> Contract::volumes() {
  return run<std::vector<dpu::DpuVolume>>([this] { return dpu->list_volumes(pool_id, soon()); });
}
Result<std::vector<dpu::DpuVolume>> Contract::names() {
  return run<std::vector<dpu::DpuVolume>>([this] { return dpu->list_volume_names(pool_id, soon()); });
}
Result<std::vector<dpu::Pool>> Contract::pools() {
  return run<std::vector<dpu::Pool>>([this] { return dpu->list_pools(soon()); });
}
Result<PoolId> Contract::create_pool(std::string name, std::string drive) {
  dpu::CreatePool want{std::move(name), std::move(drive), MiB(1)};
  return run<PoolId>([this, want] { return dpu->create_pool(want, soon()); });
}
dpu::Pool Contract::pool() {
  auto all = pools();
  EXPECT_TRUE(all);
  if (all)
    for (auto& p : *all)
      if (p.id == pool_id) return p;
  ADD_FAILURE() << "the pool is not listed";
  return {};
}
dpu::DpuVolume Contract::get(DpuVolumeId id) {
  auto found = find(id);
  EXPECT_TRUE(found && *found) << (found ? "absent" : found.error().describe());
  return found && *found ? **found : dpu::DpuVolume{};
}
Result<dpu::Function> Contract::open(std::string serial) {
  return run<dpu::Function>([=, this] { return dpu->open_function(serial, soon()); });
}
Result<void> Contract::close(FunctionId id) {
  return run<void>([=, this] { return dpu->close_function(id, soon()); });
}
Result<void> Contract::expose(FunctionId function, std::uint32_t nsid, std::string target, std::string uuid) {
  dpu::Expose want{std::move(function), nsid, std::move(target), std::move(uuid)};
  return run<void>([this, want] { return dpu->expose(want, soon()); });
}
Result<void> Contract::unexpose(FunctionId function, std::uint32_t nsid) {
  return run<void>([=, this] { return dpu->unexpose(function, nsid, soon()); });
}
Result<std::vector<dpu::Exposure>> Contract::exposures() {
  return run<std::vector<dpu::Exposure>>([this] { return dpu->list_exposures(soon()); });
}
Result<std::vector<dpu::Function>> Contract::functions() {
  return run<std::vector<dpu::Function>>([this] { return dpu->list_functions(soon()); });
}

}  // namespace vnvme::contract
