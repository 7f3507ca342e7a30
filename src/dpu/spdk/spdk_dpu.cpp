#include "dpu/spdk/spdk_dpu.hpp"

#include "core/json.hpp"
#include "core/text.hpp"

namespace vnvme::dpu::spdk {
namespace {

constexpr std::size_t kMaxRemembered = 1u << 17;
const std::string kFunctionLane = "functions";

Result<std::optional<Listener>> parse_listener(const std::string& text) {
  if (text.empty()) return std::optional<Listener>();
  auto wrong = [&text]() {
    return fail(Errc::invalid_argument, "a listener is tcp:ADDRESS:PORT, not \"" + text + "\"");
  };
  auto last = text.rfind(':');
  if (!text.starts_with("tcp:") || last <= 4 || last + 1 >= text.size()) return wrong();
  Listener listener{.traddr = text.substr(4, last - 4), .trsvcid = text.substr(last + 1)};
  if (listener.traddr.front() == '[' && listener.traddr.back() == ']') {
    listener.traddr = listener.traddr.substr(1, listener.traddr.size() - 2);
    listener.adrfam = "IPv6";
  }
  if (listener.traddr.empty()) return wrong();
  return std::optional<Listener>(std::move(listener));
}

std::uint64_t seed_of(const std::string& text) {
  return std::hash<std::string>{}(text + random_uuid());
}

}  // namespace

Result<std::unique_ptr<Dpu>> make_spdk_dpu(boost::asio::io_context& io, const Options& options) {
  auto connector = rpc::make_connector(io, options.uri);
  if (!connector) return fail(std::move(connector.error()));
  auto listener = parse_listener(options.listener);
  if (!listener) return fail(std::move(listener.error()));
  const auto& clear = options.clear_method;
  if (!clear.empty() && clear != "unmap" && clear != "write_zeroes" && clear != "none")
    return fail(Errc::invalid_argument, "clear_method is unmap, write_zeroes or none, not \"" + clear + "\"");
  rpc::Client::Options client;
  client.backoff = {options.retry_first, options.retry_most, seed_of(options.uri)};
  return make_spdk_dpu(io, std::move(*connector), clear, std::move(*listener), client);
}

std::unique_ptr<Dpu> make_spdk_dpu(boost::asio::io_context& io, std::unique_ptr<rpc::Connector> connector,
                                   std::string clear_method, std::optional<Listener> listener,
                                   rpc::Client::Options client, Quirks quirks) {
  return std::make_unique<SpdkDpu>(io, std::move(connector), std::move(clear_method), std::move(listener),
                                   client, quirks);
}

SpdkDpu::SpdkDpu(boost::asio::io_context& io, std::unique_ptr<rpc::Connector> connector,
                 std::string clear_method, std::optional<Listener> listener, rpc::Client::Options client,
                 Quirks quirks)
    : target_(io, std::move(connector), client, quirks),
      clear_method_(std::move(clear_method)),
      listener_(std::move(listener)),
      nvmf_(make_nvmf_functions(target_, listener_)),
      snap_(make_snap_functions(target_)) {
  target_.start();
}

SpdkDpu::~SpdkDpu() {
  target_.client().shutdown();
}

void SpdkDpu::shutdown() {
  target_.client().shutdown();
}

std::uint64_t SpdkDpu::generation() const {
  return target_.client().generation();
}
bool SpdkDpu::connected() const {
  return target_.client().connected();
}
const std::string& SpdkDpu::endpoint() const {
  return target_.endpoint();
}
std::string SpdkDpu::trouble() const {
  return target_.client().trouble();
}

Task<Result<std::uint64_t>> SpdkDpu::wait_generation(std::uint64_t seen, Deadline deadline) {
  co_return co_await target_.client().wait_generation(seen, deadline);
}

Task<Result<void>> SpdkDpu::wait_lost(Deadline deadline) {
  co_return co_await target_.client().wait_lost(deadline);
}

const Capabilities& SpdkDpu::capabilities() const {
  if (known_generation_ != generation()) {
    capabilities_ = capabilities_of(target_.dialect());
    known_generation_ = generation();
  }
  return capabilities_;
}

Task<Result<Identity>> SpdkDpu::identify(Deadline deadline) {
  // Asked anew: this call also tells whether the target still answers.
  Step step{.method = "spdk_get_version"};
  auto answer = co_await target_.read(step, deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  auto said =
      parse_json(answer->result(), {.bytes = 64u << 10, .depth = 8, .values = 64, .string_bytes = 4096});
  auto version = said ? text_of(*said, "version") : std::nullopt;
  if (!version)
    co_return fail(target_.unreadable(step, Error{.text = "no version in it"}, Outcome::not_done));
  auto identity = target_.dialect().identity;
  identity.version = *version;
  co_return identity;
}

Result<FunctionDriver*> SpdkDpu::driver() {
  if (target_.dialect().snap) return snap_.get();
  if (target_.dialect().nvmf) return nvmf_.get();
  if (!connected()) return fail(Errc::unreachable, trouble());
  return fail(Errc::not_supported,
              "the DPU at " + endpoint() + " has neither SNAP functions nor NVMe-oF subsystems");
}

void SpdkDpu::remember(const DpuVolumeId& id, const PoolId& pool) {
  if (pool_of_.size() >= kMaxRemembered) pool_of_.clear();
  pool_of_.insert_or_assign(id, pool);
}

Task<Result<Pool>> SpdkDpu::find_pool(PoolId id, Deadline deadline) {
  auto pools = co_await get_lvstores(target_, deadline);
  if (!pools) co_return fail(std::move(pools.error()));
  for (auto& pool : *pools)
    if (pool.id == id) co_return std::move(pool);
  co_return target_.refuse(Errc::not_found, "bdev_lvol_get_lvstores", "the DPU has no pool " + id.str());
}

Task<Result<PoolId>> SpdkDpu::pool_of(DpuVolumeId id, Deadline deadline) {
  auto known = pool_of_.find(id);
  if (known != pool_of_.end()) co_return known->second;
  auto bdev = co_await find_bdev(target_, id.str(), deadline);
  if (!bdev) co_return fail(std::move(bdev.error()));
  if (!*bdev || !(*bdev)->lvol)
    co_return target_.refuse(Errc::not_found, "bdev_get_bdevs",
                             "the DPU has no volume " + printable(id.str(), 64));
  auto pool = (*bdev)->lvol->store;
  remember(id, pool);
  co_return pool;
}

Task<Result<Keep>> SpdkDpu::pool_lane(PoolId pool, std::string what, Deadline deadline) {
  co_return co_await target_.lane("store " + pool.str(), std::move(what), deadline);
}

Task<Result<Keep>> SpdkDpu::volume_lane(DpuVolumeId id, std::string what, Deadline deadline) {
  auto pool = co_await pool_of(id, deadline);
  if (!pool) co_return fail(std::move(pool.error()));
  co_return co_await pool_lane(std::move(*pool), std::move(what), deadline);
}

Task<Result<std::vector<Function>>> SpdkDpu::list_functions(Deadline deadline) {
  auto functions = driver();
  if (!functions) co_return fail(std::move(functions.error()));
  co_return co_await (*functions)->functions(deadline);
}

Task<Result<Function>> SpdkDpu::open_function(std::string serial, Deadline deadline, FunctionId preferred) {
  auto functions = driver();
  if (!functions) co_return fail(std::move(functions.error()));
  auto nqn = nqn_of_serial(serial);
  if (!nqn) co_return fail(std::move(nqn.error()));
  auto lane = co_await target_.lane(kFunctionLane, "opening function " + serial, deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  co_return co_await (*functions)->open(std::move(serial), std::move(preferred), std::move(*lane), deadline);
}

Task<Result<void>> SpdkDpu::close_function(FunctionId id, Deadline deadline) {
  auto functions = driver();
  if (!functions) co_return fail(std::move(functions.error()));
  auto lane = co_await target_.lane(kFunctionLane, "closing function " + id.str(), deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  co_return co_await (*functions)->close(std::move(id), std::move(*lane), deadline);
}

Task<Result<std::vector<Exposure>>> SpdkDpu::list_exposures(Deadline deadline) {
  auto functions = driver();
  if (!functions) co_return fail(std::move(functions.error()));
  co_return co_await (*functions)->exposures(deadline);
}

Task<Result<void>> SpdkDpu::expose(Expose want, Deadline deadline) {
  auto functions = driver();
  if (!functions) co_return fail(std::move(functions.error()));
  auto uuid = parse_uuid(want.uuid);
  if (!uuid)
    co_return fail(Errc::invalid_argument,
                   "a namespace needs a uuid, not \"" + printable(want.uuid, 64) + "\"");
  want.uuid = *uuid;
  auto lane = co_await target_.lane(kFunctionLane, "exposing " + want.target, deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  co_return co_await (*functions)->expose(std::move(want), std::move(*lane), deadline);
}

Task<Result<void>> SpdkDpu::unexpose(FunctionId id, std::uint32_t nsid, Deadline deadline) {
  auto functions = driver();
  if (!functions) co_return fail(std::move(functions.error()));
  auto lane = co_await target_.lane(kFunctionLane, "taking namespaces from " + id.str(), deadline);
  if (!lane) co_return fail(std::move(lane.error()));
  co_return co_await (*functions)->unexpose(std::move(id), nsid, std::move(*lane), deadline);
}

}  // namespace vnvme::dpu::spdk
