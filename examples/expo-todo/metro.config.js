// Only in this tree, where the SDK is a link: an app that installs `tricedb` from npm needs no file
// like this.
const { join } = require('node:path');
const { getDefaultConfig } = require('expo/metro-config');

const config = getDefaultConfig(__dirname);
const sdk = join(__dirname, '../../clients/js');
config.watchFolders = [sdk];
// What the SDK imports is the app's: the React that lies above the SDK would be a second one.
config.resolver.resolveRequest = (context, name, platform) => {
  const isOfSdk = context.originModulePath.startsWith(sdk) && !name.startsWith('.');
  const origin = isOfSdk ? join(__dirname, 'package.json') : context.originModulePath;
  return context.resolveRequest({ ...context, originModulePath: origin }, name, platform);
};

module.exports = config;
