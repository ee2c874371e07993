// Calls a contract in EthereumJS's EVM with prices of one's own. stdin: {modules, code, prices, calls: [{data, gas}]};
// stdout: [{returned, failed}] as JSON. `code` is runtime code, or with `creation` what runs as a constructor; `others` are
// the codes of other contracts by address.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'

const { modules, code, creation, prices, without, others, calls } = JSON.parse(readFileSync(0, 'utf8'))
const require = createRequire(modules + '/')
const { createEVM } = require('@ethereumjs/evm')
const { createCustomCommon, Mainnet, Hardfork } = require('@ethereumjs/common')
const { createAddressFromString, hexToBytes, bytesToHex } = require('@ethereumjs/util')

// The chain of anvil and hardhat, where keys of unsafe setups are taken.
const common = createCustomCommon({ chainId: 31337 }, Mainnet, { hardfork: Hardfork.Prague, params: { 2537: prices } })
const customPrecompiles = (without ?? []).map((address) => ({ address: createAddressFromString(address) }))
const answers = []
for (const { data, gas } of calls) {
  const evm = await createEVM({ common, customPrecompiles, allowUnlimitedContractSize: true })
  for (const [address, other] of Object.entries(others)) {
    await evm.stateManager.putCode(createAddressFromString(address), hexToBytes(other))
  }
  const request = { code: hexToBytes(code), data: hexToBytes(data), gasLimit: BigInt(gas) }
  const { returnValue, exceptionError } = creation
    ? (await evm.runCall({ data: hexToBytes(code), gasLimit: BigInt(gas) })).execResult
    : await evm.runCode({ ...request, isStatic: true })
  answers.push({ returned: bytesToHex(returnValue), failed: exceptionError?.error ?? '' })
}
console.log(JSON.stringify(answers))
